"""`algoperf run`: one flag at a time does what it says."""

import csv
import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import command, environment
from fakes import PLAIN_SUBMISSION

from algoperf.cli.main import main

TIMES = {
    "score",
    "total_duration",
    "accumulated_submission_time",
    "accumulated_eval_time",
    "accumulated_logging_time",
}


def rows(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def without_times(file: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows(file)]


def read(file: Path) -> Any:
    return json.loads(file.read_text())


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Trains a submission that does nothing; returns what the screen shows."""
    monkeypatch.chdir(tmp_path)
    Path("idle.py").write_text(PLAIN_SUBMISSION)

    def run(*given: str) -> str:
        code = main(["run", "--workload=digits", "--submission_path=idle.py", *given])
        output, errors = capsys.readouterr()
        assert (code, errors) == (0, "")
        return output

    return run


def idle(folder: str = "idle", study: int = 0) -> Path:
    return Path("experiments", folder, f"study_{study}", "digits_jax", "trial_1")


def test_a_seed_makes_a_run_repeatable(run):
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        run(f"--rng_seed={seed}", f"--experiment_name={name}", "--max_global_steps=2")
    a, b, c = (without_times(idle(name) / "eval_measurements.csv") for name in "abc")
    assert a == b
    assert a != c


def test_a_drawn_seed_stays_with_the_study(run):
    run("--max_global_steps=1")
    seed = read(idle() / "trial.json")["seed"]
    assert "already done" in run("--max_global_steps=1")
    assert read(idle() / "trial.json")["seed"] == seed
    run("--max_global_steps=1", "--experiment_name=other")
    assert read(idle("other") / "trial.json")["seed"] != seed


def test_a_study_in_the_experiment_name_is_that_study(run):
    run("--experiment_name=x/study_2", "--max_global_steps=1")
    assert [f.name for f in Path("experiments/x").iterdir()] == ["study_2"]
    assert read(idle("x", 2) / "trial.json")["study"] == 2
    again = run("--experiment_name=x", "--study_index=2", "--max_global_steps=1")
    assert "already done" in again


def test_overwrite_starts_a_trial_from_nothing(run):
    run("--max_global_steps=2")
    (idle() / "notes.txt").write_text("")
    output = run("--max_global_steps=1", "--overwrite")
    assert "already done" not in output
    assert "resumed" not in output
    assert not (idle() / "notes.txt").exists()
    assert read(idle() / "trial.json")["steps"] == 1


def test_a_tiny_budget_runs_out(run):
    run("--max_runtime_factor=0.001", "--max_global_steps=100000")
    record = read(idle() / "trial.json")
    assert record["outcome"] == "out of time"
    assert record["settings"]["limits"]["max_runtime_s"] == pytest.approx(0.06)
    assert record["seconds"]["submission"] > 0.06
    steps = [int(row["global_step"]) for row in rows(idle() / "eval_measurements.csv")]
    assert steps[-1] == record["steps"]


def test_self_tuning_gets_the_whole_longer_budget_and_writes_no_hyperparameters(run):
    run("--skip_evals")
    record = read(idle() / "trial.json")
    assert record["tuning_ruleset"] == "self"
    assert record["settings"]["limits"]["max_runtime_s"] == 90
    assert record["steps"] == 2250  # 1.5 times the step hint
    assert not (idle() / "hparams.json").exists()


def test_skipped_evaluations_leave_no_rows(run):
    run("--skip_evals", "--max_global_steps=3")
    assert not (idle() / "eval_measurements.csv").exists()
    assert read(idle() / "trial.json")["steps"] == 3


@pytest.mark.parametrize(
    ("flag", "saved"),
    [("--save_checkpoints", {"3", "4"}), ("--nosave_checkpoints", set())],
)
def test_checkpoints_are_saved_unless_refused(run, flag, saved):
    run(flag, "--max_global_steps=4", "--eval_every_steps=1")
    folders = (idle() / "checkpoints").glob("[0-9]*")
    assert {folder.name for folder in folders} == saved


def test_checkpoints_between_evaluations_need_checkpoints(capsys):
    line = ["run", "--workload=digits", "--submission_path=nadamw"]
    assert main([*line, "--nosave_checkpoints", "--checkpoint_every_s=60"]) == 2
    said = capsys.readouterr().err
    assert "--checkpoint_every_s=60 with --nosave_checkpoints: there is" in said
    assert "Leave one of them out" in said


def test_progress_is_one_line_that_updates_on_a_terminal(tmp_path):
    (tmp_path / "idle.py").write_text(
        PLAIN_SUBMISSION.replace("return opt", "sleep(0.2); return opt")
    )
    text = (tmp_path / "idle.py").read_text()
    (tmp_path / "idle.py").write_text("from time import sleep\n" + text)
    ours, theirs = pty.openpty()
    flags = (
        "--submission_path=idle.py",
        "--max_global_steps=8",
        "--eval_every_steps=4",
    )
    process = subprocess.Popen(
        command(["run", "--workload=digits", *flags]),
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    _, errors = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, errors) == (0, b"")
    lines = shown.decode().replace("\r\n", "\n").split("\n")
    updated = [line for line in lines if "| step " in line]
    assert len(updated) == 1
    drawn = re.findall(r"\r[^\r]*\| step (\d)/8 \|", updated[0])
    assert len(drawn) >= 4, "it is redrawn between evaluations"
    assert drawn[-1] == "8"
    assert re.search(r"\r +\ridle digits study 0 trial 1: out of steps", updated[0])


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux: the process has closed its end
        return b""
