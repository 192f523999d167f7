"""`algoperf status`: what it counts, from folders and without touching them."""

import datetime
import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_folders import write_trial

from algoperf import records
from algoperf.cli.status_command import look, main
from algoperf.cli.sweep_view import LiveBlock
from algoperf.facts import UserError
from algoperf.sweep.record import FILE, FOLDER
from algoperf.sweep.scan import TrialState, find_trials, read_state
from algoperf.sweep.status import Cell, cell_of, in_words, summary, table
from algoperf.sweep.tasks import Task
from workloads.catalog import CATALOG

EVALS = "global_step,total_duration,validation/accuracy\n"


def plan(root: Path, trials: int, workloads=("digits",)) -> None:
    (root / FOLDER).mkdir()
    planned = {
        "submissions": [{"name": "adam", "trials": trials}],
        "workloads": list(workloads),
        "studies": [0],
    }
    records.write_json(root / FOLDER / FILE, {"seed": 0, "plans": [planned]})


def test_a_table_of_trials_in_every_state(tmp_path):
    plan(tmp_path, 7)
    write_trial(tmp_path, 1, best=0.99, reached_s=2.5, total_s=60.0)
    write_trial(tmp_path, 2, "diverged", best=None, total_s=40.0)
    write_trial(tmp_path, 3, "failed", best=0.5)
    running = write_trial(tmp_path, 4, None, best=0.3, steps=10, total_s=1.0)
    (running / records.EVALS).write_text(f"{EVALS}1,1.5,0.1\n1250,20.5,0.9\n1300,2")
    (running / records.LOCK).write_text(records.holder())
    write_trial(tmp_path, 5, None, best=0.2, steps=20, total_s=5.0)
    text, over = look(tmp_path, CATALOG)
    header, row, _, line = text.splitlines()
    assert not over
    assert header.split() == [
        "submission", "workload", "done", "running", "waiting", "failed", "best",
        "target", "fastest", "steps", "left",
    ]  # fmt: skip
    # Four trials are left, of 50 s each by the mean of those that are over; of two
    # 20.5 s and 5 s are spent.
    assert re.split(" {2,}", row) == [
        "adam", "digits", "2/7", "1", "3", "1", "0.99 *", "accuracy >= 0.975",
        "2.5 s", "1,250", "2 min 54 s",
    ]  # fmt: skip
    assert line.startswith(
        "2 of 7 trials done, 1 running, 3 waiting, 1 failed; expected end "
    )


def test_left_is_the_mean_of_what_is_over_less_what_is_spent():
    over = [TrialState("reached", spent_s=60.0), TrialState("diverged", spent_s=40.0)]
    left = [
        TrialState(running=True, spent_s=20.0),
        TrialState(spent_s=5.0),
        TrialState(),
        TrialState(running=True, spent_s=70.0),
    ]
    assert cell_of(("a", "digits"), [*over, *left], None).left_s == 30 + 45 + 50 + 0
    assert cell_of(("a", "digits"), left, None).left_s is None
    assert cell_of(("a", "digits"), over, None).left_s == 0.0


def test_the_best_goes_by_the_goal_of_the_workload():
    states = [TrialState(best=0.2), TrialState(best=0.1), TrialState(best=float("nan"))]
    assert cell_of(("a", "w"), states, CATALOG["digits"]).best == 0.2
    lower = replace(CATALOG["digits"], goal="min")
    assert cell_of(("a", "w"), states, lower).best == 0.1


def cell(**counts) -> Cell:
    values = {"done": 0, "running": 0, "waiting": 0, "failed": 0, "left_s": None}
    return Cell(("a", "digits"), **{**values, **counts}, best=None, fastest_s=None,
                steps=None)  # fmt: skip


def test_the_expected_end_divides_what_is_left_among_processes():
    now = datetime.datetime(2030, 5, 1, 12, 0)
    cells = [cell(done=1, running=2, waiting=2, left_s=7200.0), cell(failed=1)]
    assert summary(cells, now).endswith("expected end 13:00")
    assert summary(cells, now, workers=4).endswith("expected end 12:30")
    far = [cell(running=1, left_s=86_400.0), cell(waiting=3)]
    assert summary(far, now).endswith(
        "expected end 2030-05-02 12:00 and 3 trials of unknown length"
    )
    assert summary([cell(running=1)], now).endswith("end not known yet")
    assert summary([cell(done=3, left_s=0.0)], now) == (
        "3 of 3 trials done, 0 running, 0 waiting, 0 failed"
    )


def test_rows_that_run_come_first_where_there_is_no_room():
    cells = [cell(waiting=1) for _ in range(5)] + [cell(running=3)]
    lines = table(cells, CATALOG, most_rows=2).splitlines()
    assert len(lines) == 4
    assert lines[1].split()[3] == "3"
    assert lines[-1] == "... and 4 more rows"


def test_the_quick_reading_of_a_record_reads_what_json_would(tmp_path):
    # The error of a failed trial holds what looks like another outcome.
    for number, outcome in enumerate(["failed", "reached", "out of time"], 1):
        folder = write_trial(tmp_path, number, outcome, best=0.5, total_s=3.0)
        whole = records.read_json(folder / records.TRIAL)
        state = read_state(folder)
        assert state.outcome == whole["outcome"] == outcome
        assert state.spent_s == whole["seconds"]["total"]
        assert state.best == whole["best"]
        # As another program may have written it.
        quick = state
        (folder / records.TRIAL).write_text(json.dumps(whole))
        assert read_state(folder) == quick


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"outcome": "reached',
        '{"outcome": "reached", "reached": {"step": 3}}',
        '{"outcome": null, "settings": {"seed": 3}}',
        '{"outcome": "reached", "best": "much"}',
        "\udcff",
    ],
)
def test_a_record_that_cannot_be_read_is_not_over(tmp_path, text):
    folder = write_trial(tmp_path, 1)
    (folder / records.TRIAL).write_text(text, errors="surrogateescape")
    assert read_state(folder) == TrialState()


@pytest.mark.parametrize("rows", ["", EVALS, f"{EVALS}12,1", f"{EVALS}12,1.0,0.5,3\n"])
def test_without_a_whole_row_the_record_counts(tmp_path, rows):
    folder = write_trial(tmp_path, 1, None, best=0.25, steps=9)
    (folder / records.EVALS).write_text(rows)
    assert (read_state(folder).steps, read_state(folder).best) == (9, 0.25)


def test_only_trial_folders_are_trials(tmp_path):
    write_trial(tmp_path, 12)
    for path in (
        "adam/study_0/digits_jax/trial_x",
        "adam/study_0/digits_pytorch/trial_1",
        "adam/study_y/digits_jax/trial_1",
        ".sweep/failed/adam/study_0/digits_jax/trial_3",
    ):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "adam/study_0/digits_jax/trial_2").write_text("a file")
    assert [task for task, _ in find_trials(tmp_path)] == [
        Task("adam", "digits", 0, 12)
    ]


def test_looking_changes_nothing(tmp_path):
    folder = write_trial(tmp_path, 1, None)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    look(tmp_path, CATALOG)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    assert not (folder / records.LOCK).exists()


def test_the_command_ends_when_all_is_over(tmp_path, capsys):
    write_trial(tmp_path, 1)
    assert main([str(tmp_path), "--watch"]) == 0
    assert "1 of 1 trials done" in capsys.readouterr().out


def test_watching_shows_it_again(tmp_path, capsys, monkeypatch):
    write_trial(tmp_path, 1, None)
    slept = []

    def end(seconds):
        slept.append(seconds)
        write_trial(tmp_path, 1)

    monkeypatch.setattr(time, "sleep", end)
    assert main([str(tmp_path), "--watch", "--every_s=2"]) == 0
    output = capsys.readouterr().out
    assert slept == [2.0]
    assert output.index("0 of 1 trials done") < output.index("1 of 1 trials done")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "takes one folder, not 0"),
        (["gone"], "there is no folder gone"),
        (["."], r"\. has no trials .* and no plan of a sweep"),
    ],
)
def test_a_folder_without_trials_is_refused(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        main(given)


def test_lines_are_drawn_over_each_other_on_a_terminal():
    stream = io.StringIO()
    stream.isatty = lambda: True
    block = LiveBlock(stream)
    block.draw("a\nb")
    block.message("stays")
    block.draw("c")
    block.clear()
    up_and_erase = "\x1b[{}F\x1b[J"
    assert stream.getvalue() == (
        f"a\nb\n{up_and_erase.format(2)}stays\nc\n{up_and_erase.format(1)}"
    )


def test_durations():
    assert [in_words(s) for s in (7, 65, 3660, 90_000)] == [
        "7 s", "1 min 05 s", "1 h 01 min", "1 d 1 h",
    ]  # fmt: skip
