"""What other eyes found: logs and rules that gave wrong numbers once."""

import json
import math
from pathlib import Path

import pytest
from score_trees import one_trial_each, rules_for, write_tree

import scoring
from algoperf.facts import UserError
from scoring.cli import main
from scoring.eval_rows import read_rows
from scoring.findings import FINDINGS
from scoring.fit import misfit
from scoring.load import load_logs
from scoring.rules import get_rules
from scoring.rules_file import read_rules

RULES = rules_for("a", studies=1)
TIMES = one_trial_each({"x": {"a": [10.0]}, "y": {"a": [11.0]}})


def replace_csv(tree: Path, text: str) -> None:
    for file in tree.rglob("eval_measurements.csv"):
        file.write_text(text)


def test_a_step_too_large_for_a_number_is_an_unknown_step(tmp_path: Path):
    file = tmp_path / "e.csv"
    header = "accumulated_submission_time,global_step,validation/loss\n"
    file.write_text(header + "1,5,0.5\n2,1e999,0.1\n")
    assert [row.step for row in read_rows(file, "e", "validation/loss").rows] == [
        5,
        None,
    ]
    file.write_text(header + "1,5,0.5\n2,100.7,0.1\n")
    assert [row.step for row in read_rows(file, "e", "validation/loss").rows] == [
        5,
        100,
    ]


def test_findings_of_the_runner_are_listed_and_change_nothing(tmp_path: Path):
    tree = write_tree(tmp_path / "logs", TIMES)
    before = load_logs(tree, RULES)
    file = next((tree / "x").rglob("eval_measurements.csv")).parent / "trial.json"
    record = json.loads(file.read_text()) if file.exists() else {}
    record |= {"tuning_ruleset": "external"}
    for findings, expected in (
        ([], []),
        ("odd", []),
        ([{"what": "a"}, {"what": "a"}, {"what": "b"}], ["a: 2, b: 1"]),
    ):
        file.write_text(json.dumps(record | {"findings": findings}))
        logs = load_logs(tree, RULES)
        notes = [note for note in logs.notes if note.what == FINDINGS]
        assert [note.detail for note in notes] == expected
        assert {note.effect for note in notes} <= {"nothing"}
        assert logs.trials == before.trials


@pytest.mark.parametrize("step", [0, -3])
def test_a_target_reached_at_no_step_has_no_score_in_steps(tmp_path: Path, step: int):
    tree = write_tree(tmp_path / "logs", TIMES)
    header = "accumulated_submission_time,global_step,validation/loss\n"
    replace_csv(tree, f"{header}2,{step},0.1\n3,{step + 1},0.1\n")
    report = scoring.score(tree, RULES)
    assert report.steps is None
    assert "steps instead of seconds" not in {own.kind for own in report.variations}
    for variation in report.variations:
        assert all(math.isfinite(own) for own in variation.scores.values())


def test_one_study_separates_nobody(tmp_path: Path, capsys):
    tree = write_tree(tmp_path / "logs", TIMES)
    report = scoring.score(tree, RULES)
    assert report.separated == report.not_separated == ()
    comparison = report.compare("x", "y")
    assert comparison.verdict == comparison.speedup_verdict == "not separated"
    assert {own.verdict for own in comparison.workloads} == {"not separated"}
    rules = tmp_path / "rules.json"
    workload = {"name": "a", "metric": "loss", "goal": "min"}
    workload |= {"validation_target": 0.1, "max_runtime_s": 1000}
    rules.write_text(json.dumps({"studies": 1, "workloads": [workload]}))
    line = [f"--submission_directory={tree}", f"--rules={rules}", "--compare", "x", "y"]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "one study: the intervals are empty and say nothing" in out
    assert "faster" not in out.partition("\n")[2]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"submission": 5}, {"submission": 5.0}),
        ({"submission": math.inf, "compile": 2}, {"compile": 2.0}),
        ({"submission": "5"}, {}),
        ([1, 2], {}),
        (None, {}),
    ],
)
def test_odd_seconds_leave_the_ruleset_alone(tmp_path: Path, seconds, expected):
    tree = write_tree(tmp_path / "logs", TIMES)
    replace_csv(tree, "accumulated_submission_time,validation/loss\n")
    for file in tree.rglob("trial_1"):
        record = {"tuning_ruleset": "self", "seconds": seconds}
        (file / "trial.json").write_text(json.dumps(record))
    logs = load_logs(tree, RULES)
    assert set(logs.rulesets.values()) == {"self"}
    assert logs.trials[0].seconds == expected


def test_a_number_beyond_floats_is_no_target(tmp_path: Path):
    workload = {"name": "a", "metric": "loss", "goal": "min", "max_runtime_s": 9}
    workload["validation_target"] = 10**400
    (tmp_path / "r.json").write_text(json.dumps({"workloads": [workload]}))
    with pytest.raises(UserError, match="it has to be finite"):
        read_rules(tmp_path / "r.json")


def test_a_scored_workload_is_its_own_base(tmp_path: Path):
    workload = {"name": "a", "base": "b", "metric": "loss", "goal": "min"}
    workload |= {"validation_target": 1, "max_runtime_s": 9}
    (tmp_path / "r.json").write_text(json.dumps({"workloads": [workload]}))
    with pytest.raises(UserError, match="workload 'a' has the base 'b': a scored"):
        read_rules(tmp_path / "r.json")


def test_restricted_rules_stay_restricted():
    once = get_rules("v0.6").only(["wmt"])
    assert once.restricted
    assert once.only(["wmt"]).restricted


def test_studies_are_counted_and_not_numbered(tmp_path: Path):
    tree = write_tree(tmp_path / "logs", TIMES)
    for name in ("x", "y"):
        (tree / name / "study_0").rename(tree / name / "study_7")
    assert misfit(RULES, load_logs(tree, RULES)).studies == 1
