"""A sweep killed at 50 random moments ends as one that nobody disturbed."""

import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from conftest import command, environment
from runs import EVERY, assert_equal_trials, line, run, trial_of
from test_resume import SUBMISSION

pytestmark = pytest.mark.faults

KILLS, STUDIES, STEPS = 50, 4, 160
SWEEP = (
    "sweep",
    f"--submissions={SUBMISSION}",
    "--workloads=digits",
    f"--studies={STUDIES}",
    "--seed=7",
    f"--run_flags=--max_global_steps={STEPS} --eval_every_steps={EVERY} --probe=off",
)
# A seed to try again comes here.
SEED = random.randrange(10**6)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder)
    return folder


def finish(folder: Path) -> None:
    done = run(folder, command(SWEEP))
    assert done.returncode == 0, done.stdout + done.stderr


def kill_sweep(folder: Path, after_s: float) -> bool:
    """Kills the sweep and its trial at once, as a power cut does; False if too late."""
    process = subprocess.Popen(
        command(SWEEP), cwd=folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        pass
    whole = [*psutil.Process(process.pid).children(recursive=True)]
    process.kill()
    for child in whole:
        child.kill()
    psutil.wait_procs(whole)
    process.wait()
    return True


def kill_run(folder: Path, chance: random.Random) -> bool:
    """Kills one process at a place in the program; False if it did not come there."""
    place = chance.choice(
        [
            ["import", "", chance.randrange(1, 3000)],
            ["doing", "a step", chance.randrange(1, 60)],
            ["doing", "waiting for the device", chance.randrange(1, 5)],
            ["doing", "an evaluation", chance.randrange(1, 25)],
            ["doing", "writing records", chance.randrange(1, 5)],
            ["open", "measurements.csv", chance.randrange(1, 8)],
            ["open", ".json", chance.randrange(1, 12)],
            ["os.rename", ".json", chance.randrange(1, 12)],
            ["os.mkdir", "checkpoints", chance.randrange(1, 12)],
            ["open", "checkpoints", chance.randrange(1, 12)],
            ["os.rename", "checkpoint", chance.randrange(1, 6)],
        ]
    )
    act = chance.choice(["kill", ["kill soon", chance.uniform(0, 0.05)]])
    flags = (f"--num_studies={STUDIES}",)
    done = run(folder, line(STEPS, *flags, fault={"at": place, "do": act}))
    killed = done.returncode == -signal.SIGKILL
    assert killed or done.returncode == 0, (place, done.stderr)
    return killed


def assert_equal_sweeps(expected: Path, found: Path) -> None:
    for study in range(STUDIES):
        assert_equal_trials(trial_of(expected, study), trial_of(found, study))


def test_a_sweep_killed_at_random_moments_ends_as_an_undisturbed_one(
    undisturbed, tmp_path
):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    began = time.monotonic()
    folder, kills, rounds = tmp_path / "0", 0, 0
    while kills < KILLS:
        folder.mkdir(exist_ok=True)
        if chance.random() < 0.4:
            killed = kill_sweep(folder, chance.uniform(0.2, 9.0))
        else:
            killed = kill_run(folder, chance)
        kills += killed
        if not killed:  # it got to its end: once more from nothing
            finish(folder)
            assert_equal_sweeps(undisturbed, folder)
            rounds += 1
            folder = tmp_path / str(rounds)
    folder.mkdir(exist_ok=True)
    finish(folder)
    assert_equal_sweeps(undisturbed, folder)
    print(f"{kills} kills, {rounds} rounds, {time.monotonic() - began:.0f} s")
