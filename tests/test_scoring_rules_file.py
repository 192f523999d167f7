"""Rules from JSON: what is written is read, and every mistake is named."""

import json
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from score_trees import one_trial_each, rules_for, write_tree

from algoperf.facts import UserError
from scoring.cli import main
from scoring.rules import VERSIONS, get_rules
from scoring.rules_file import read_rules, rules_of

WORKLOAD = {
    "name": "a",
    "metric": "loss",
    "goal": "min",
    "validation_target": 0.1,
    "max_runtime_s": 100,
}
GUARD = WORKLOAD | {"name": "a_tanh", "base": "a"}


def written(folder: Path, content: Any) -> Path:
    path = folder / "own.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_survives_json(tmp_path: Path, version: str):
    rules = get_rules(version)
    assert read_rules(written(tmp_path, asdict(rules))) == rules
    restricted = rules.only(rules.names[:1])
    assert read_rules(written(tmp_path, asdict(restricted))) == restricted


def test_the_name_of_a_version_is_that_version():
    assert read_rules("v0.6") == get_rules("v0.6")
    with pytest.raises(UserError, match=r"no scoring rules 'v0\.7'; did you mean"):
        read_rules("v0.7")


def test_a_whole_scores_json_gives_its_rules(tmp_path: Path):
    times = one_trial_each({"x": {"a": [5.0]}, "y": {"a": [9.0]}})
    root = write_tree(tmp_path / "logs", times)
    own = written(tmp_path, asdict(rules_for("a", studies=1)))
    common = [f"--submission_directory={root}", "--noreport", "--resamples=10"]
    assert main([*common, f"--rules={own}"]) == 0
    first = (tmp_path / "logs_scores/scores.json").read_text()
    scores = tmp_path / "first.json"
    scores.write_text(first)
    assert read_rules(scores) == rules_for("a", studies=1)
    assert main([*common, f"--rules={scores}"]) == 0
    assert (tmp_path / "logs_scores/scores.json").read_text() == first


def test_what_is_left_out_is_as_in_the_code(tmp_path: Path):
    rules = read_rules(written(tmp_path, {"workloads": [WORKLOAD]}))
    assert rules.name == "own"  # of the file
    (only,) = rules.workloads
    assert (only.base, only.max_runtime_s) == ("a", 100.0)
    assert isinstance(only.max_runtime_s, float)
    assert (rules.studies, rules.trials_external, rules.trials_self) == (3, 5, 1)
    assert (rules.tau_max, rules.far_factor) == (4.0, 4.0)
    assert (rules.held_out, rules.optional, rules.restricted) == ((), (), False)


def test_a_file_needs_no_json_in_its_name(tmp_path: Path):
    path = tmp_path / "rules"
    path.write_text(json.dumps({"workloads": [WORKLOAD]}))
    assert read_rules(path).names == ("a",)


def changed(**changes: Any) -> dict[str, Any]:
    return {"name": "own", "workloads": [deepcopy(WORKLOAD)]} | changes


def workload(**changes: Any) -> dict[str, Any]:
    return changed(workloads=[WORKLOAD | changes])


def without(key: str) -> dict[str, Any]:
    kept = {name: value for name, value in WORKLOAD.items() if name != key}
    return changed(workloads=[kept])


ALLOWED = "Known: name, workloads, held_out, optional, studies"
NUMBER = "has to be a number."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the rules is []; it has to be an object."),
        (None, "the rules is null; it has to be an object."),
        (changed(studys=3), "the rules has an unknown key 'studys'; did you mean stud"),
        (changed(studys=3), ALLOWED),
        ({"name": "own"}, "the rules lacks 'workloads'."),
        (changed(workloads=[]), "'workloads' is empty: name one workload at least."),
        (changed(workloads={}), "'workloads' is {}; it has to be a list."),
        (changed(held_out=3), "'held_out' is 3; it has to be a list."),
        (changed(optional=["a"]), 'optional[0] is "a"; it has to be an object.'),
        (changed(name=""), "'name' is \"\"; it has to be a text."),
        (changed(name=7), "'name' is 7; it has to be a text."),
        (changed(studies=0), "'studies' is 0; it has to be a whole number >= 1."),
        (changed(studies=2.0), "'studies' is 2.0; it has to be a whole number"),
        (changed(studies=True), "'studies' is true; it has to be a whole number"),
        (changed(trials_self="1"), "'trials_self' is \"1\"; it has to be a whole"),
        (changed(tau_max=1), "'tau_max' is 1; it has to be above 1."),
        (changed(tau_max=-4), "'tau_max' is -4; it has to be above 0."),
        (changed(tau_max="4"), f"'tau_max' is \"4\"; it {NUMBER}"),
        (changed(far_factor=0), "'far_factor' is 0; it has to be above 0."),
        (changed(restricted=1), "'restricted' is 1; it has to be true or false."),
        (workload(nmae="b"), "workloads[0] has an unknown key 'nmae'; did you mean n"),
        (without("name"), "workloads[0] lacks 'name'."),
        (without("goal"), "workloads[0] lacks 'goal'."),
        (without("metric"), "workloads[0] lacks 'metric'."),
        (without("validation_target"), "workloads[0] lacks 'validation_target'."),
        (without("max_runtime_s"), "workloads[0] lacks 'max_runtime_s'."),
        (workload(goal="low"), "'workloads[0].goal' is \"low\"; allowed: max, min."),
        (
            workload(goal=["min"]),
            "'workloads[0].goal' is [\"min\"]; allowed: max, min.",
        ),
        (workload(metric=""), "'workloads[0].metric' is \"\"; it has to be a text."),
        (workload(max_runtime_s=-1), "'workloads[0].max_runtime_s' is -1; it has to"),
        (workload(max_runtime_s="9"), f'max_runtime_s\' is "9"; it {NUMBER}'),
        (workload(validation_target=True), f"validation_target' is true; it {NUMBER}"),
        (workload(validation_target=None), f"validation_target' is null; it {NUMBER}"),
        (
            workload(validation_target=float("nan")),
            "'workloads[0].validation_target' is NaN; it has to be finite.",
        ),
        (
            workload(max_runtime_s=float("inf")),
            "'workloads[0].max_runtime_s' is Infinity; it has to be finite.",
        ),
        (changed(workloads=[WORKLOAD] * 2), "two workloads are called 'a'."),
        (changed(optional=[WORKLOAD]), "two workloads are called 'a'."),
        (
            changed(held_out=[GUARD | {"base": "aa"}]),
            "held-out workload 'a_tanh' has the base 'aa', which is not scored; ",
        ),
        (
            changed(held_out=[{**WORKLOAD, "name": "a_tanh"}]),
            "held-out workload 'a_tanh' has the base 'a_tanh', which is not scored; "
            "Scored: a.",
        ),
        (
            workload(goal="x" * 100),
            f"'workloads[0].goal' is \"{'x' * 36}...; allowed",
        ),
        ("{", "are no JSON: "),
        ("", "are no JSON: "),
        ({"leaderboard": []}, "the rules is null; it has to be an object."),
    ],
)
def test_mistakes_are_named_with_the_file(tmp_path: Path, content: Any, message: str):
    path = written(tmp_path, content)
    with pytest.raises(UserError) as error:
        read_rules(path)
    assert message in str(error.value)
    assert f"rules {path}" in str(error.value)


def test_a_good_file_has_a_guard(tmp_path: Path):
    rules = read_rules(written(tmp_path, changed(held_out=[GUARD])))
    assert [rule.name for rule in rules.needed] == ["a", "a_tanh"]
    assert rules.held_out[0].base == "a"


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(UserError) as error:
        read_rules(tmp_path / "none.json")
    assert str(error.value) == (
        f"cannot read the rules {tmp_path / 'none.json'}: No such file or directory."
    )
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UserError, match=r"cannot read the rules .*folder\.json: Is a"):
        read_rules(tmp_path / "folder.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"the rules .*bytes\.json are no JSON: "):
        read_rules(tmp_path / "bytes.json")


def test_plain_values_without_a_file():
    assert rules_of(changed(name="mine"), "other").name == "mine"
    with pytest.raises(UserError) as error:
        rules_of(changed(studies=0), "mine")
    assert str(error.value) == "'studies' is 0; it has to be a whole number >= 1."
