"""Hangs, wrong clocks, memory, two processes at once, other places and devices."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import command, environment
from runs import (
    EVERY,
    SUBMISSION,
    assert_equal_trials,
    line,
    record_of,
    run,
    trial_of,
)

from algoperf import records
from algoperf.watchdog import EXIT_HUNG

pytestmark = pytest.mark.faults

STEPS = 60
KILL = {"at": ["doing", "writing records", 4], "do": "kill"}  # after 2 checkpoints


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder, line(STEPS))
    assert done.returncode == 0, done.stderr
    return trial_of(folder)


def killed(folder: Path) -> Path:
    """A trial that was killed between two checkpoints."""
    assert run(folder, line(STEPS, fault=KILL)).returncode < 0
    return trial_of(folder)


# --- hangs ---------------------------------------------------------------------------


def test_a_run_that_hangs_in_native_code_ends_and_goes_on(whole, tmp_path):
    fault = {"at": ["doing", "a step", 40], "do": "hang"}
    flag = "--step_timeout=4"
    hung = run(tmp_path, line(STEPS, flag, fault=fault))
    assert hung.returncode == EXIT_HUNG, hung.stderr
    assert "hung: nothing for" in hung.stderr
    trial = trial_of(tmp_path)
    stacks = (trial / "hang.txt").read_text()
    assert "in hang" in stacks
    assert "in _train" in stacks
    (hang,) = record_of(trial)["hangs"]
    assert (hang["doing"], hang["step"]) == ("a step", 39)
    assert record_of(trial)["outcome"] is None
    looked = run(tmp_path, command(["status", "experiments"]))
    assert "resumable digits study 0 trial 1: hung 1 time(s)" in looked.stdout
    again = run(tmp_path, line(STEPS, flag))
    assert again.returncode == 0, again.stderr
    assert record_of(trial)["hangs"] == [hang]
    assert "hung" not in run(tmp_path, command(["status", "experiments"])).stdout
    assert_equal_trials(whole, trial)


def hanging(folder: Path, times: int) -> Path:
    """A submission whose step 31 hangs the first few times it is done."""
    marks = folder / "marks"
    marks.mkdir()
    for number in range(times):
        (marks / str(number)).touch()
    source = (SUBMISSION / "submission.py").read_text()
    source += f"""

import pathlib
_plain = update_params
def update_params(*, global_step, train_state, **arguments):
    marks = list(pathlib.Path({str(marks)!r}).iterdir())
    if global_step == 30 and marks:
        marks[0].unlink()
        forever = jax.jit(lambda x: jax.lax.while_loop(lambda x: x >= 0, abs, x))
        forever(0).block_until_ready()
    return _plain(global_step=global_step, **arguments)
"""
    submission = folder / "resumable"
    submission.mkdir()
    (submission / "submission.py").write_text(source)
    return submission


def sweep(folder: Path, submission: Path) -> subprocess.CompletedProcess[str]:
    flags = f"--max_global_steps={STEPS} --eval_every_steps={EVERY} --probe=off"
    words = (
        "sweep",
        f"--submissions={submission}",
        "--workloads=digits",
        "--seed=7",
        "--max_restarts=1",
        f"--run_flags={flags} --step_timeout=4",
    )
    return run(folder, command(words))


def test_a_sweep_starts_a_trial_that_hung_again(whole, tmp_path):
    done = sweep(tmp_path, hanging(tmp_path, 1))
    assert done.returncode == 0, done.stdout + done.stderr
    trial = trial_of(tmp_path)
    log = trial.with_suffix(".log").read_text()
    assert "hung (nothing happened for --step_timeout seconds); started again" in log
    assert len(record_of(trial)["hangs"]) == 1
    for name in (records.EVALS, records.MEASUREMENTS):
        assert len((trial / name).read_text().splitlines()) == len(
            (whole / name).read_text().splitlines()
        )


def test_a_sweep_gives_up_a_trial_that_always_hangs(tmp_path):
    done = sweep(tmp_path, hanging(tmp_path, 9))
    assert done.returncode == 2
    assert "has no outcome: hung" in done.stderr
    assert "2 times" in done.stderr
    assert len(record_of(trial_of(tmp_path))["hangs"]) == 2


# --- clocks, numbers, memory ---------------------------------------------------------


def test_a_clock_that_is_stepped_back(whole, tmp_path):
    killed(tmp_path)
    done = run(tmp_path, line(STEPS, fault={"clock": "back"}))
    assert done.returncode == 0, done.stderr
    seconds = record_of(trial_of(tmp_path))["seconds"]
    assert min(seconds["submission"], seconds["evaluation"], seconds["logging"]) > 0
    assert seconds["total"] < 240
    assert_equal_trials(whole, trial_of(tmp_path))


@pytest.mark.parametrize(
    ("code", "outcome", "said"),
    [
        ("returned[1] = jax.tree.map(lambda p: p * jnp.nan, returned[1])",
         "diverged", None),
        ("raise MemoryError", "failed", "MemoryError"),
        ("raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')",
         "failed", "RESOURCE_EXHAUSTED"),
        # More than any machine has: what XLA itself raises.
        ("jnp.zeros(1 << 50, jnp.uint8).block_until_ready()",
         "failed", "RESOURCE_EXHAUSTED"),
    ],
)  # fmt: skip
def test_what_a_step_does_wrong_ends_its_trial_alone(tmp_path, code, outcome, said):
    source = (SUBMISSION / "submission.py").read_text()
    source += f"""

_plain = update_params
def update_params(*, global_step, train_state, **arguments):
    returned = list(_plain(global_step=global_step, **arguments))
    if global_step == 30:
        {code}
    return returned
"""
    submission = tmp_path / "resumable"
    submission.mkdir()
    (submission / "submission.py").write_text(source)
    words = line(STEPS, "--num_studies=2", f"--submission_path={submission}")
    done = run(tmp_path, words)
    assert done.returncode == (2 if outcome == "failed" else 0), done.stderr
    for study in (0, 1):
        record = record_of(trial_of(tmp_path, study))
        assert record["outcome"] == outcome
        assert said is None or said in record["error"]
        rows = (trial_of(tmp_path, study) / records.EVALS).read_text().splitlines()
        assert len(rows) >= 1 + 2  # those before stay
    again = run(tmp_path, words)
    assert again.returncode == done.returncode
    assert f"already done: {outcome}" in again.stdout


def test_memory_that_ends_in_an_evaluation(tmp_path):
    fault = {"at": ["doing", "an evaluation", 9], "do": ["raise", "RESOURCE_EXHAUSTED"]}
    done = run(tmp_path, line(STEPS, fault=fault))
    assert done.returncode == 2
    record = record_of(trial_of(tmp_path))
    assert record["outcome"] == "failed"
    assert "RESOURCE_EXHAUSTED" in record["error"]


# --- two processes, other places, other devices --------------------------------------


@pytest.mark.parametrize("later_s", [0.0, 0.5])
def test_of_two_processes_one_runs_the_trial(whole, tmp_path, later_s):
    processes = []
    for _ in range(2):
        processes.append(
            subprocess.Popen(
                line(STEPS), cwd=tmp_path, env=environment(), text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        time.sleep(later_s)
    said = [process.communicate(timeout=240)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 2], said
    winner, loser = processes[codes.index(0)], codes.index(2)
    assert f"trial_1 is being run by process {winner.pid} on" in said[loser]
    assert " since 20" in said[loser]
    assert "wait for it, stop it, or give another --experiment_name" in said[loser]
    assert_equal_trials(whole, trial_of(tmp_path))


def test_a_folder_that_is_moved_goes_on_elsewhere(whole, tmp_path):
    killed(tmp_path / "here")
    (tmp_path / "there").mkdir()
    shutil.move(tmp_path / "here/experiments", tmp_path / "there/moved")
    done = run(tmp_path / "there", line(STEPS, "--experiment_dir=moved"))
    assert done.returncode == 0, done.stderr
    assert "resumed from step" in done.stdout
    assert not (tmp_path / "here/experiments").exists()
    below = trial_of(Path("x")).relative_to("x/experiments")
    assert_equal_trials(whole, tmp_path / "there/moved" / below)


def test_other_versions_are_said_and_other_devices_are_refused(whole, tmp_path):
    trial = killed(tmp_path)
    record = record_of(trial)
    record["environments"][-1]["packages"]["jax"] = "0.0.1"
    records.write_json(trial / records.TRIAL, record)
    before = json.dumps(record_of(trial))
    refused = run(tmp_path, line(STEPS), devices=2)
    assert refused.returncode == 2
    assert "was begun on 1 x cpu, and here is 2 x cpu" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert json.dumps(record_of(trial)) == before
    done = run(tmp_path, line(STEPS))
    assert done.returncode == 0, done.stderr
    assert "other versions than before: jax: 0.0.1 there, " in done.stdout
    versions = [e["packages"]["jax"] for e in record_of(trial)["environments"]]
    assert versions[0] == "0.0.1"
    assert len(versions) == 2
    assert_equal_trials(whole, trial)


def test_a_trial_without_a_checkpoint_may_begin_again_on_other_devices(tmp_path):
    fault = {"at": ["doing", "a step", 1], "do": "kill"}
    assert run(tmp_path, line(EVERY, fault=fault)).returncode < 0
    done = run(tmp_path, line(EVERY), devices=2)
    assert done.returncode == 0, done.stderr
    assert record_of(trial_of(tmp_path))["outcome"] == "out of steps"


# --- checkpoints between evaluations -------------------------------------------------


def test_checkpoints_between_evaluations_bound_what_a_kill_takes(whole, tmp_path):
    flag = "--checkpoint_every_s=0.02"
    fault = {"at": ["doing", "a step", 38], "do": "kill"}
    assert run(tmp_path, line(STEPS, flag, fault=fault)).returncode < 0
    done = run(tmp_path, line(STEPS, flag))
    assert done.returncode == 0, done.stderr
    (said,) = [ln for ln in done.stdout.splitlines() if "resumed from step" in ln]
    assert EVERY < int(said.split()[-1]) < 38
    assert_equal_trials(whole, trial_of(tmp_path))
