"""Bad folders, files and clocks: what the user reads, and what it does to the score."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from score_trees import (
    INF,
    TARGET,
    one_trial_each,
    rules_for,
    write_text,
    write_tree,
    write_trial,
)

import scoring
from algoperf.facts import UserError
from scoring.remarks import warnings
from scoring.report import health_table, render
from scoring.score_report import ScoreReport

RULES = rules_for("a", studies=1)
LOST, NOTHING = "counted as not reached", "nothing"
HEADER = "accumulated_submission_time,global_step,validation/loss"
PEER = {"peer": {"a": [20.0]}}


def report_of(root: Path, rules=RULES, **options) -> ScoreReport:
    return scoring.score(root, rules, resamples=20, **options)


def refused(root: Path, rules=RULES) -> str:
    with pytest.raises(UserError) as error:
        report_of(root, rules)
    return str(error.value)


def test_no_submissions(tmp_path: Path):
    assert refused(tmp_path) == (
        f"{tmp_path} holds no submissions (folders that hold study_0, study_1, ...); "
        "found: no folders at all. Expected: <submission>/study_0/<workload>_jax/"
        "trial_1/eval_measurements.csv, as `algoperf run` writes it."
    )


def test_a_file_in_place_of_a_folder_and_nothing_at_all(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("")
    meant = (
        "--submission_directory is the folder that holds one folder per submission "
        "(the experiment that `algoperf run` wrote), or an archive of one (.tar.xz, "
        ".tar.gz, .zip)."
    )
    assert refused(file) == f"{file} is a file, not a folder; {meant}"
    assert refused(tmp_path / "no") == f"{tmp_path / 'no'} does not exist; {meant}"
    no_archive = tmp_path / "no.tar.xz"
    assert refused(no_archive) == f"{no_archive} does not exist; {meant}"


def test_studies_without_a_workload(tmp_path: Path):
    (tmp_path / "x/study_0").mkdir(parents=True)
    assert refused(tmp_path) == (
        f"{tmp_path} has no logs of a workload that rules 'test' score here (a); "
        "found no workload folders at all. Expected: <submission>/study_0/"
        "<workload>_jax/trial_1/eval_measurements.csv."
    )


def test_only_unknown_workloads(tmp_path: Path):
    write_tree(tmp_path, one_trial_each({"x": {"own": [5.0]}}))
    assert refused(tmp_path).endswith("here (a); found: own. No rules know these.")


def test_one_submission_alone_is_scored(tmp_path: Path):
    write_tree(tmp_path, one_trial_each({"x": {"a": [5.0], "b": [INF]}}))
    report = report_of(tmp_path, rules_for("a", "b", studies=1))
    assert report.scores == {"x": 0.5}
    assert report.board.notes == ()
    assert report.board.entries[0].rank == 1
    assert (report.separated, report.not_separated) == ((), ())
    kinds = {summary.kind for summary in report.sensitivity}
    assert "leave one submission out" not in kinds
    assert "0.5000" in render(report)


def test_a_workload_that_no_rules_know_is_in_the_health_table(tmp_path: Path):
    times = {"x": {"a": [5.0], "own": [6.0], "wmt": [7.0]}}
    write_tree(tmp_path, one_trial_each(times))
    report = report_of(tmp_path)
    assert report.scores == {"x": 1.0}
    found = {(n.where, n.what, n.effect, n.detail) for n in report.board.notes}
    assert found == {
        ("x/study_0/own_jax", "unknown workload", "folder ignored", ""),
        (
            "x/study_0/wmt_jax",
            "workload that these rules do not score",
            NOTHING,
            "rule versions that know it: v0.5, v0.6, a100",
        ),
    }


def test_a_workload_without_logs_is_warned_about(tmp_path: Path):
    # As targets of nine workloads and logs of eight.
    write_tree(tmp_path, one_trial_each({"x": {"a": [5.0]}} | PEER))
    report = report_of(tmp_path, rules_for("a", "b", studies=1))
    assert report.scores == pytest.approx({"x": 0.5, "peer": 0.0})
    assert warnings(report) == [
        "no submission has logs of b: 0 for everyone; --workloads=a scores the others "
        "alone"
    ]
    what = {(note.where, note.what, note.effect) for note in report.board.notes}
    assert what == {
        (f"{name}/*/b", "no logs of this workload", LOST) for name in ("x", "peer")
    }
    assert " no logs " in health_table(report.board)


def unreadable(folder: Path, kind: str) -> None:
    folder.mkdir(parents=True)
    path = folder / "eval_measurements.csv"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(folder / "gone")


@pytest.mark.parametrize(
    ("kind", "detail"),
    [("folder", "Is a directory"), ("link", "No such file or directory")],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, kind: str, detail: str):
    write_tree(tmp_path, one_trial_each(PEER))
    unreadable(tmp_path / "x/study_0/a_jax/trial_1", kind)
    report = report_of(tmp_path)
    assert report.scores == {"peer": 1.0, "x": 0.0}
    (note,) = [n for n in report.board.notes if n.effect == LOST]
    assert str(note) == (
        "x/study_0/a_jax/trial_1: eval_measurements.csv cannot be read "
        f"({detail}); effect: counted as not reached"
    )
    assert "eval_measurements.csv cannot be read" in health_table(report.board)


def test_links_to_nowhere_in_place_of_folders(tmp_path: Path):
    write_tree(tmp_path, one_trial_each(PEER))
    gone = tmp_path / "gone"
    for place in (
        "x",
        "peer/study_1",
        "peer/study_0/b_jax",
        "peer/study_0/a_jax/trial_2",
    ):
        (tmp_path / place).symlink_to(gone)
    report = report_of(tmp_path, rules_for("a", studies=1, trials=1))
    assert report.scores == {"peer": 1.0}
    assert {(note.what, note.effect) for note in report.board.notes} == {
        ("stray file", NOTHING)
    }
    assert len(report.board.notes) == 4


def test_a_file_in_place_of_a_study_or_trial(tmp_path: Path):
    write_tree(tmp_path, one_trial_each(PEER))
    (tmp_path / "peer/study_1").write_text("")
    (tmp_path / "peer/study_0/a_jax/trial_2").write_text("")
    report = report_of(tmp_path, rules_for("a", studies=2, trials=2))
    assert report.scores == {"peer": 0.0}
    found = {(note.where, note.what, note.effect) for note in report.board.notes}
    assert found == {
        ("peer/study_1", "stray file", NOTHING),
        ("peer/study_0/a_jax/trial_2", "stray file", NOTHING),
        ("peer/study_0/a_jax", "fewer trials than planned", LOST),
        ("peer/study_1/a", "study missing", LOST),
    }


def scored_rows(root: Path, *rows: str) -> tuple[float, set[tuple[str, str]]]:
    """The score of these rows against a peer with 20 seconds; what was noted."""
    write_tree(root, one_trial_each(PEER))
    text = "".join(f"{row}\n" for row in (HEADER, *rows))
    write_text(root / "x/study_0/a_jax/trial_1", text)
    report = report_of(root)
    noted = {(note.what, note.effect) for note in report.board.notes}
    return report.scores["x"], noted


AT_20, AT_30 = 1.0, (4 - 1.5) / 3
NAN = "NaN in validation/loss"


@pytest.mark.parametrize(
    ("rows", "score", "noted"),
    [
        (["1,1,0.5", "20,2,0.1"], AT_20, set()),
        (["1,1,0.5", "20,2,nan"], 0.0, {(NAN, LOST)}),
        (["1,1,nan", "30,2,0.1"], AT_30, {(NAN, NOTHING)}),
        (["1,1,0.5", "20,2,inf"], 0.0, {(NAN, LOST)}),
        (["1,1,0.5", "20,2,-inf"], 0.0, {(NAN, LOST)}),
        (
            ["1,1,0.5", "nan,2,0.1", "30,3,0.1"],
            AT_30,
            {("time that is not a number", "row ignored")},
        ),
        (
            ["1,1,0.5", "inf,2,0.1", "30,3,0.1"],
            AT_30,
            {("time that is not a number", "row ignored")},
        ),
        (
            ["-5,1,0.1", "1,1,0.5", "30,3,0.1"],
            AT_30,
            {("time <= 0", "row ignored")},
        ),
        (
            ["0,1,0.1", "30,3,0.1"],
            AT_30,
            {("time <= 0", "row ignored")},
        ),
        (
            ["20,2,0.5", "20,2,0.5", "30,3,0.1"],
            AT_30,
            {("row repeated", NOTHING)},
        ),
        # A resume at 20 seconds: what was lost between does not count.
        (
            ["20,20,0.5", "40,40,0.5", "20,20,0.5", "30,30,0.1"],
            AT_30,
            {("time and step go back (resumed)", NOTHING)},
        ),
        (
            ["20,20,0.5", "40,40,0.5", "30,50,0.1"],
            AT_30,
            {("time goes back while the step does not", "time counted as written")},
        ),
        (["20,2,0.1"], AT_20, {("one row only", NOTHING)}),
        (["20,2,0.5"], 0.0, {("one row only", NOTHING)}),
        (
            ["1,1,0.5", "1001,2,0.1"],
            0.0,
            {("rows beyond the budget", LOST)},
        ),
        ([], 0.0, {("no row below the header", LOST)}),
    ],
)
def test_odd_rows_and_clocks(
    tmp_path: Path, rows: list[str], score: float, noted: set[tuple[str, str]]
):
    found, notes = scored_rows(tmp_path, *rows)
    assert found == pytest.approx(score)
    assert notes == noted


def test_of_two_metric_columns_the_one_of_the_rules_counts(tmp_path: Path):
    header = "accumulated_submission_time,validation/accuracy,validation/loss"
    text = f"{header}\n1,0.9,0.5\n20,0.5,0.1\n"
    write_text(tmp_path / "x/study_0/a_jax/trial_1", text)
    report = report_of(tmp_path)
    assert report.board.times.values.tolist() == [[20.0]]
    (loss,) = RULES.workloads
    accuracy = replace(loss, metric="accuracy", goal="max", validation_target=0.9)
    other = report_of(tmp_path, replace(RULES, workloads=(accuracy,)))
    assert other.board.times.values.tolist() == [[1.0]]


def test_a_column_that_one_trial_lacks_is_not_that_of_the_trial_before(tmp_path: Path):
    write_tree(tmp_path, {"x": {"a": [[5.0]]}})
    write_trial(tmp_path / "x/study_0/a_jax/trial_2", [(1.0, TARGET)] * 2)
    report = report_of(tmp_path, rules_for("a", studies=1, trials=2))
    assert report.board.times.values.tolist() == [[5.0]]
    (note,) = [n for n in report.board.notes if n.effect == LOST]
    assert note.where.endswith("trial_2")
    assert note.what == "no column validation/loss"


def test_reports_of_bad_logs_are_written_all_the_same(tmp_path: Path):
    write_tree(tmp_path, one_trial_each(PEER))
    folder = tmp_path / "x/study_0"
    write_text(folder / "a_jax/trial_1", "")
    (folder / "a_pytorch/trial_1_old").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    report = report_of(tmp_path)
    screen = render(report)
    assert "Health of the logs (every case is in scores.json)" in screen
    assert math.isclose(report.scores["peer"], 1.0)
    assert "empty eval_measurements.csv" in screen
    assert "no study folder in it: not ranked" in screen
    assert "not a trial folder" in screen
