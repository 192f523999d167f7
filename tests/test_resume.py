"""An interrupted run and an uninterrupted one are equal, bit for bit."""

import csv
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import command, environment

from algoperf.checkpoint import Checkpoints
from algoperf.records import read_json
from algoperf.train_state import TrainState

SUBMISSION = Path(__file__).parent / "submissions" / "resumable"
STEPS, EVERY = 240, 20
FLAGS = (
    "run",
    "--workload=digits",
    "--rng_seed=7",
    f"--max_global_steps={STEPS}",
    f"--eval_every_steps={EVERY}",
)
# Columns that hold seconds, and how often the trial was interrupted.
WALL_CLOCK = {
    "accumulated_eval_time",
    "accumulated_logging_time",
    "accumulated_submission_time",
    "score",
    "total_duration",
    "preemption_count",
}


def start(
    folder: Path, devices: int, submission: Path = SUBMISSION
) -> subprocess.Popen[str]:
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        command([*FLAGS, f"--submission_path={submission}"]),
        cwd=folder,
        env=environment(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trial_of(folder: Path) -> Path:
    return folder / "experiments/resumable/study_0/digits_jax/trial_1"


def rows_without_times(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        {name: value for name, value in row.items() if name not in WALL_CLOCK}
        for row in rows
    ]


def evaluations(folder: Path) -> int:
    file = trial_of(folder) / "eval_measurements.csv"
    return file.read_text().count("\n") - 1 if file.exists() else 0


def wait_for_evaluations(
    process, folder: Path, count: int, patience_s: float = 60
) -> None:
    deadline = time.monotonic() + patience_s
    while evaluations(folder) < count and process.poll() is None:
        assert time.monotonic() < deadline, "the run does not get anywhere"
        time.sleep(0.005)


def assert_equal_runs(whole: Path, interrupted: Path) -> None:
    for name in ("eval_measurements.csv", "measurements.csv"):
        expected = rows_without_times(trial_of(whole) / name)
        assert rows_without_times(trial_of(interrupted) / name) == expected, name
    expected, found = saved_leaves(whole), saved_leaves(interrupted)
    assert expected.keys() == found.keys()
    for path, values in expected.items():
        np.testing.assert_array_equal(values, found[path], err_msg=path)


def saved_leaves(folder: Path) -> dict[str, np.ndarray]:
    """The arrays and numbers of the last checkpoint, by their path in the state."""
    checkpoints = Checkpoints(trial_of(folder) / "checkpoints", keep=None)
    # The step function is the one leaf that is not stored.
    template = TrainState(None, None, {"step": print})
    restored = checkpoints.restore(template)
    checkpoints.close()
    assert restored is not None
    state, progress = restored
    assert progress["step"] == STEPS
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in leaves
        if leaf is not print
    }


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(1, id="1 device"),
        pytest.param(2, id="2 devices", marks=pytest.mark.slow),
    ],
)
def whole(request, tmp_path_factory) -> tuple[Path, int]:
    """An uninterrupted run, and on how many devices it ran."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder, request.param)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert len(rows_without_times(trial_of(folder) / "eval_measurements.csv")) == (
        STEPS // EVERY + 1
    )
    return folder, request.param


def test_a_run_killed_at_random_moments_ends_as_an_uninterrupted_one(whole, tmp_path):
    folder, devices = whole
    chance = random.Random(devices)
    for kill in range(3):
        process = start(tmp_path, devices)
        wait_for_evaluations(process, tmp_path, evaluations(tmp_path) + kill % 3 + 1)
        time.sleep(chance.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    process = start(tmp_path, devices)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "resumed from step" in output
    assert_equal_runs(folder, tmp_path)
    record = read_json(trial_of(tmp_path) / "trial.json")
    assert record is not None
    assert record["outcome"] == "out of steps"
    assert record["preemption_count"] >= 2


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_stopped_run_saves_says_how_to_go_on_and_goes_on(
    whole, tmp_path, number, code
):
    folder, devices = whole
    process = start(tmp_path, devices)
    wait_for_evaluations(process, tmp_path, 3)
    time.sleep(0.03)  # between two evaluations
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "continue with this command line" in errors
    assert "--rng_seed=7" in errors
    assert "Traceback" not in errors
    stopped = read_json(trial_of(tmp_path) / "trial.json")
    assert stopped is not None
    assert stopped["outcome"] is None
    assert stopped["steps"] >= 2 * EVERY
    process = start(tmp_path, devices)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert f"resumed from step {stopped['steps']}" in output
    assert_equal_runs(folder, tmp_path)


def test_a_submission_may_move_before_it_goes_on(tmp_path):
    first = tmp_path / "a" / "resumable"
    shutil.copytree(SUBMISSION, first)
    process = start(tmp_path / "run", 1, first)
    wait_for_evaluations(process, tmp_path / "run", 3)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    second = tmp_path / "b" / "resumable"
    shutil.copytree(first, second)
    shutil.rmtree(first)
    process = start(tmp_path / "run", 1, second)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "resumed from step" in output
    assert "damaged" not in output
    # What the killed process wrote after its checkpoint is kept, without the rest.
    kept = trial_of(tmp_path / "run") / "superseded_measurements.csv"
    if kept.exists():
        lines = kept.read_text().splitlines()
        assert lines[0].startswith("global_step,")
        assert not any(line.startswith("1,") for line in lines[1:])


def test_seconds_spent_before_an_interruption_are_not_lost(whole, tmp_path):
    _, devices = whole
    process = start(tmp_path, devices)
    wait_for_evaluations(process, tmp_path, 4)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    before = read_json(trial_of(tmp_path) / "trial.json")
    process = start(tmp_path, devices)
    process.communicate(timeout=120)
    after = read_json(trial_of(tmp_path) / "trial.json")
    assert before is not None
    assert after is not None
    for account in ("submission", "evaluation", "logging", "compile"):
        assert after["seconds"][account] >= before["seconds"][account] > 0.0
    with open(trial_of(tmp_path) / "eval_measurements.csv", newline="") as stream:
        times = [float(row["score"]) for row in csv.DictReader(stream)]
    assert times == sorted(times)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2, 4])
def test_a_run_killed_many_times_ends_as_an_uninterrupted_one(tmp_path, devices):
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    process = start(whole, devices)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    chance = random.Random(100 + devices)
    for _ in range(10):
        process = start(interrupted, devices)
        # At any moment: while it imports, compiles, trains, evaluates or saves.
        time.sleep(chance.uniform(1.0, 8.0))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    process = start(interrupted, devices)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert_equal_runs(whole, interrupted)
