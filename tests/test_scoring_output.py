"""Leaderboard rows, Markdown, CSV, JSON and the report as a library."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from score_trees import INF, one_trial_each, rules_for, write_tree

import scoring
from algoperf import records
from algoperf.facts import UserError
from scoring.document import SCHEMA, SCHEMA_VERSION, as_document
from scoring.export import leaderboard_csv, write_scores
from scoring.leaderboard import leaderboard_rows
from scoring.markdown import leaderboard_markdown
from scoring.remarks import notes, warnings
from scoring.score_report import ScoreReport

RULES = rules_for("a", "b", budget_s=100.0)
TIMES = {
    "baseline": {"a": [10, 20, 30], "b": [INF] * 3},
    "quick": {"a": [8, 9, 10], "b": [50, 60, INF]},
}


def report_of(root: Path, times=TIMES, rules=RULES, **options) -> ScoreReport:
    tree = write_tree(root / "logs", one_trial_each(times))
    return scoring.score(tree, rules, **({"resamples": 200} | options))


@pytest.fixture
def report(tmp_path: Path) -> ScoreReport:
    return report_of(tmp_path)


def test_rows_are_what_the_report_says(report: ScoreReport):
    quick, base = leaderboard_rows(report)
    assert (quick["rank"], quick["submission"], quick["ruleset"]) == (
        1,
        "quick",
        "external",
    )
    assert (base["rank"], base["submission"]) == (2, "baseline")
    assert quick["score"] == quick["exact"] == report.scores["quick"] == 1.0
    assert base["score"] == pytest.approx((4 - 20 / 9) / 3 / 2)
    assert (quick["workloads_reached"], base["workloads_reached"]) == (2, 1)
    assert quick["workloads"] == base["workloads"] == 2
    own = report.over_studies[0]
    assert (quick["score_low"], quick["score_high"]) == (own.score.low, own.score.high)
    assert (quick["rank_low"], quick["rank_high"]) == (own.rank.low, own.rank.high)
    assert quick["rank_1"] == own.rank_1
    nested = report.over_workloads[0]
    assert quick["score_low_over_workloads"] == nested.score.low
    assert quick["rank_1_over_workloads"] == nested.rank_1
    # 20 over 9 seconds, the budget of 100 over 60.
    assert quick["speedup"] == pytest.approx((20 / 9 * 100 / 60) ** 0.5)
    assert quick["time_saved"] == pytest.approx(1 - 1 / quick["speedup"])
    assert quick["speedup_low"] <= quick["speedup"] <= quick["speedup_high"]
    assert (base["speedup"], base["time_saved"]) == (1.0, 0.0)
    assert quick["steps_score"] == pytest.approx(1.0)
    assert quick["steps_rank"] == 1


def test_what_cannot_be_said_is_none(tmp_path: Path):
    times = {"x": {"a": [5.0]}}
    report = report_of(tmp_path, times, rules_for("a", studies=1))
    (row,) = leaderboard_rows(report)
    unknown = {key for key, value in row.items() if value is None}
    assert unknown == {
        *(f"{what}_{end}" for what in ("score", "rank") for end in ("low", "high")),
        *(
            f"{what}_{end}_over_workloads"
            for what in ("score", "rank")
            for end in ("low", "high")
        ),
        *("rank_1", "rank_1_over_workloads"),
        *("speedup", "speedup_low", "speedup_high", "time_saved"),
    }
    assert report.reference is None


def test_csv_holds_the_rows_in_full(report: ScoreReport):
    rows = list(csv.DictReader(io.StringIO(leaderboard_csv(report))))
    for line, row in zip(rows, leaderboard_rows(report), strict=True):
        assert list(line) == list(row)
        assert float(line["score_low"]) == row["score_low"]
        assert line == {key: str(value) for key, value in row.items()}


def test_a_frame_has_the_rows(report: ScoreReport):
    pytest.importorskip("pandas")
    frame = report.to_frame()
    assert list(frame.index) == ["quick", "baseline"]
    assert frame.index.name == "submission"
    for row in leaderboard_rows(report):
        found = frame.loc[row.pop("submission")]
        assert found.to_dict() == row


def test_markdown_tables(report: ScoreReport):
    lines = leaderboard_markdown(report).splitlines()
    assert lines[0] == (
        "| Rank | Submission | Score | 95 % | Ranks | P(first) | Reached "
        "| Speed-up over baseline |"
    )
    assert lines[1] == "| ---: | :--- |" + " ---: |" * 6
    assert lines[2].startswith("| 1 | quick | 1.0000 | ")
    assert " | 2 of 2 | 1.92 (" in lines[2]
    assert lines[3].startswith("| 2 | baseline | 0.2963 | ")
    assert lines[3].endswith(" | 1 of 2 | 1.00 (1.00) |")
    assert lines[5:9] == [
        "| Seconds to target | quick | baseline |",
        "| :--- | ---: | ---: |",
        "| a | 9.0 | 20.0 |",
        "| b | 60.0 | - |",
    ]
    remarks = [line for line in lines[10:] if line]
    assert len(remarks) == len(warnings(report)) + len(notes(report))
    assert all(line.startswith("- ") for line in remarks)


def test_markdown_shows_names_as_they_are(tmp_path: Path):
    name = "a_b*c[d](e)|<b>`#"
    report = report_of(tmp_path, {name: TIMES["quick"]}, reference=name)
    text = leaderboard_markdown(report)
    escaped = r"a\_b\*c\[d\](e)\|\<b\>\`\#"
    assert f"| 1 | {escaped} |" in text
    assert f"Speed-up over {escaped} |" in text
    header, rule, row = text.splitlines()[:3]
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in (header, rule, row)]
    assert len(set(cells)) == 1
    assert name not in text


def test_the_document_is_strict_json_with_a_schema(report: ScoreReport):
    document = json.loads(records.json_text(as_document(report)))
    assert document["schema"] == {"name": SCHEMA, "version": SCHEMA_VERSION}
    assert document["source"] == "logs"
    assert document["score_is"] == "exact integral"
    assert document["made_with"]["algoperf"]
    assert document["leaderboard"] == leaderboard_rows(report)
    b = document["workloads"]["quick"]["b"]
    assert (b["time_s"], b["counted_time_s"], b["ratio"]) == (60.0, 60.0, 1.0)
    assert [study["time_s"] for study in b["studies"]] == [50.0, 60.0, None]
    fastest = b["studies"][0]["fastest"]
    assert (fastest["trial"], fastest["row"], fastest["step"]) == (1, 1, 500)
    # The row below and the crossing: half of the time, and just at the target.
    assert fastest["below"][:2] == [0, 25.0]
    assert fastest["interpolated_s"] == 50.0
    missed = document["workloads"]["baseline"]["b"]
    assert (missed["time_s"], missed["ratio"]) == (None, None)
    assert missed["studies"][0]["fastest"] is None
    uncertainty = document["uncertainty"]
    assert (uncertainty["resamples"], uncertainty["seed"]) == (200, 0)
    assert set(uncertainty["over_studies"]) == {"quick", "baseline"}
    beats = uncertainty["over_studies"]["quick"]["beats"]["baseline"]
    assert beats == report.over_studies[0].beats["baseline"]
    assert document["speedup"]["reference"] == "baseline"
    assert len(document["sensitivity"]) == len(report.sensitivity)
    assert document["tuning"]["expected_scores"]["quick"] == [pytest.approx(1.0)]
    for name, rho in document["profile"]["rho"].items():
        assert len(rho) == 100
        assert rho[-1] == (1.0 if name == "quick" else 0.5)


def test_separated_pairs_and_groups_are_those_of_the_resamples(tmp_path: Path):
    times = {
        "clear": {"a": [1, 1, 1]},
        "one": {"a": [2, 3, 4]},
        "two": {"a": [2, 3, 4]},
    }
    report = report_of(tmp_path, times, rules_for("a"), resamples=2_000)
    assert set(report.separated) == {("clear", "one"), ("clear", "two")}
    assert report.not_separated == (("one", "two"),)
    assert "not separated at 95 %: one, two" in notes(report)


def test_writing_files(tmp_path: Path, report: ScoreReport):
    written = write_scores(report, tmp_path / "new/folder", page=False)
    names = ["scores.json", "leaderboard.csv", "leaderboard.md"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new/folder").iterdir()) == sorted(
        names
    )
    (tmp_path / "blocked/scores.json").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot write scores into .*blocked: "):
        write_scores(report, tmp_path / "blocked", page=False)


def test_the_library_takes_names_of_rules_files_and_rules(tmp_path: Path):
    tree = write_tree(tmp_path / "logs", one_trial_each({"digits": {"a": [1.0]}}))
    with pytest.raises(UserError, match=r"no scoring rules 'v9'"):
        scoring.score(tree, "v9")
    with pytest.raises(UserError, match=r"rules 'mini' score here"):
        scoring.score(str(tree))
    with pytest.raises(UserError, match=r"--compare: no submission 'x' is ranked"):
        scoring.score(tree, rules_for("a"), resamples=10).compare("digits", "x")
    with pytest.raises(UserError) as error:
        scoring.score(tree, rules_for("a"), reference="digit", resamples=10)
    assert str(error.value) == (
        "--reference: no submission 'digit' is ranked here; did you mean digits? "
        "All: digits."
    )
