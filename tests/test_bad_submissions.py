"""A submission that goes wrong ends its own trial, and the rest goes on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import PLAIN_SUBMISSION

from algoperf.cli.main import main

PLAIN = f"""
import jax
import jax.numpy as jnp
from algoperf import spec
{PLAIN_SUBMISSION}"""
LINES = PLAIN.count("\n")
# A step that does something to the params `p`.
STEP = """def update_params(
    *, current_param_container, model_state, optimizer_state, global_step, **rest
):
    p = current_param_container
"""
STUDY = Path("experiments/mine/study_0/digits_jax")


@dataclass
class Ended:
    """How a run ended."""

    code: int
    screen: str
    errors: str
    trial: dict[str, Any] | None = None


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Trains a plain submission with `more` at its end, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(more: str, *flags: str) -> Ended:
        Path("mine").mkdir(exist_ok=True)
        Path("mine/submission.py").write_text(PLAIN + more)
        code = main(
            [
                "run",
                "--workload=digits",
                "--submission_path=mine",
                "--max_global_steps=10",
                "--eval_every_steps=5",
                "--nosave_checkpoints",
                *flags,
            ]
        )
        screen, errors = capsys.readouterr()
        assert "Traceback" not in screen + errors
        file = STUDY / "trial_1" / "trial.json"
        trial = json.loads(file.read_text()) if file.exists() else None
        return Ended(code, screen, errors, trial)

    return run


# What cannot be loaded is refused before anything is written.


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("del update_params", "has no function `update_params`"),
        ("update_params = 3", "has no function `update_params`"),
        ("del update_params, get_batch_size", "`get_batch_size` and `update_params`"),
        ("def f(:\n", f"cannot be imported: invalid syntax (line {LINES + 1})"),
        (
            "raise RuntimeError('at import')",
            f"imported: RuntimeError: at import (at submission.py:{LINES + 1})",
        ),
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("import sys; sys.exit(4)", "cannot be imported: SystemExit: 4"),
    ],
)
def test_a_submission_that_cannot_be_loaded_is_refused(run, more, message):
    ended = run(more)
    assert ended.code == 2
    assert "mine/submission.py" in ended.errors
    assert message in ended.errors
    assert ended.errors.count("algoperf: ") == 1
    assert not Path("experiments").exists()


def test_a_syntax_error_in_a_helper_names_the_helper(run):
    Path("mine").mkdir()
    Path("mine/broken_helper.py").write_text("def f(:\n")
    ended = run("import broken_helper")
    assert ended.code == 2
    assert (
        "broken_helper.py cannot be imported: invalid syntax (line 1)" in ended.errors
    )


def test_a_folder_without_a_submission_is_refused(run):
    Path("mine/empty").mkdir(parents=True)
    ended = run("", "--submission_path=mine/empty")
    assert ended.code == 2
    assert "the folder mine/empty has no submission.py" in ended.errors
    assert "submission.py" in ended.errors


def test_a_file_that_is_no_python_is_refused(run):
    Path("notes.txt").write_text("")
    ended = run("", "--submission_path=notes.txt")
    assert ended.code == 2
    assert "a submission ends in .py" in ended.errors


# What it raises ends its trial.


@pytest.mark.parametrize(
    ("more", "steps", "message"),
    [
        (
            "def get_batch_size(name): raise RuntimeError('in size')",
            0,
            f"RuntimeError: in size (at submission.py:{LINES + 1})",
        ),
        (
            "def init_optimizer_state(*a): raise RuntimeError('in init')",
            0,
            f"RuntimeError: in init (at submission.py:{LINES + 1})",
        ),
        (
            "def data_selection(*a): raise RuntimeError('in data')",
            0,
            f"RuntimeError: in data (at submission.py:{LINES + 1})",
        ),
        (
            STEP + "    if global_step == 7: raise RuntimeError('seven')\n"
            "    return optimizer_state, p, model_state",
            7,
            f"RuntimeError: seven (at submission.py:{LINES + 5})",
        ),
        (
            "def prepare_for_eval(**rest): raise RuntimeError('in prepare')",
            1,
            f"RuntimeError: in prepare (at submission.py:{LINES + 1})",
        ),
        (STEP + "    open('/not/there')", 0, "FileNotFoundError: [Errno 2] No such"),
        (STEP + "    raise SystemExit(3)", 0, "SystemExit: 3"),
        (STEP + "    raise StopIteration", 0, "StopIteration"),
    ],
    ids=lambda value: value.splitlines()[-1][:40] if isinstance(value, str) else None,
)
def test_what_a_submission_raises_ends_its_trial(run, more, steps, message):
    ended = run(more)
    assert ended.code == 2
    assert f"failed: {message}" in ended.screen
    assert ended.trial["outcome"] == "failed"
    assert ended.trial["steps"] == steps
    assert ended.trial["error"].startswith("Traceback (most recent call last):")
    assert "mine/submission.py" in ended.trial["error"]
    assert "1 trial(s) failed" in ended.errors
    assert "--overwrite" in ended.errors


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (STEP + "    return p, model_state", ["update_params", "3", "2"]),
        (STEP + "    return None", ["update_params", "None"]),
        ("def prepare_for_eval(**rest): return None", ["prepare_for_eval", "None"]),
        (
            STEP + "    p['output']['kernel'] = p['output']['kernel'].T\n"
            "    return optimizer_state, p, model_state",
            ["output/kernel", "(10, 128)", "(128, 10)", "may not change the model"],
        ),
        (
            STEP + "    del p['output']\n    return optimizer_state, p, model_state",
            ["did not return parameter output/bias", "(10,)"],
        ),
        (
            STEP + "    p['more'] = {'bias': jnp.zeros(3)}\n"
            "    return optimizer_state, p, model_state",
            ["more/bias", "which the workload does not have"],
        ),
        (
            STEP + "    return optimizer_state, jax.tree.leaves(p), model_state",
            ["a parameter 0, which the workload does not have"],
        ),
        (
            STEP + "    return optimizer_state, 'params', model_state",
            ["update_params", "parameter"],
        ),
        (
            STEP + "    p['output']['bias'] = [0.0] * 10\n"
            "    return optimizer_state, p, model_state",
            ["update_params", "parameter output/bias"],
        ),
    ],
    ids=lambda value: value.splitlines()[-1][:40] if isinstance(value, str) else None,
)
def test_what_it_returns_is_checked(run, more, parts):
    ended = run(more)
    assert ended.code == 2
    assert ended.trial["outcome"] == "failed"
    message = next(line for line in ended.screen.splitlines() if "failed: " in line)
    for part in parts:
        assert part in message


def test_training_complete_is_no_failure(run):
    ended = run(STEP + "    raise spec.TrainingCompleteError")
    assert ended.code == 0
    assert ended.trial["outcome"] == "stopped by submission"


@pytest.mark.parametrize(
    ("size", "nearest"), [("63", "62, 64"), ("1", "nearest sizes: 2")]
)
def test_a_batch_size_that_does_not_divide_gets_the_nearest(run, size, nearest):
    ended = run(f"def get_batch_size(name): return {size}")
    assert ended.code == 2
    assert ended.trial["outcome"] == "failed"
    assert f"batch size {size} on digits does not divide over 2 dev" in ended.screen
    assert nearest in ended.screen
    assert f"(at submission.py:{LINES + 1})" in ended.screen


def test_a_failed_trial_is_kept_until_overwrite(run):
    assert run("def data_selection(*a): raise RuntimeError('in data')").code == 2
    again = run("def data_selection(*a): raise RuntimeError('in data')")
    assert again.code == 2
    assert "already done: failed" in again.screen
    repaired = run("", "--overwrite")
    assert repaired.code == 0
    assert repaired.trial["outcome"] == "out of steps"


# The other trials go on: one real process with a trial of each kind.

KINDS = """
def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return hyperparameters.kind

def update_params(
    *, current_param_container, model_state, optimizer_state, global_step, **rest
):
    p = current_param_container
    if optimizer_state == "raises" and global_step == 7:
        raise RuntimeError("at step seven")
    if optimizer_state == "diverges" and global_step == 3:
        p = jax.tree.map(lambda x: x * jnp.nan, p)
    return optimizer_state, p, model_state
"""


def test_the_other_trials_of_a_study_go_on(algoperf, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "submission.py").write_text(PLAIN + KINDS)
    points = [{"kind": kind} for kind in ("raises", "diverges", "works")]
    (folder / "tuning_search_space.json").write_text(json.dumps(points))
    flags = ("--max_global_steps=10", "--eval_every_steps=5", "--num_tuning_trials=3")
    run = algoperf("run", "--workload=digits", "--submission_path=mine", *flags)
    assert run.returncode == 2
    assert "Traceback" not in run.stdout + run.stderr
    assert "RuntimeError: at step seven (at submission.py:" in run.stdout
    assert "1 trial(s) failed" in run.stderr
    records = [
        json.loads((tmp_path / STUDY / f"trial_{number}/trial.json").read_text())
        for number in (1, 2, 3)
    ]
    assert [record["outcome"] for record in records] == [
        "failed",
        "diverged",
        "out of steps",
    ]
    assert [record["steps"] for record in records] == [7, 5, 10]
    for outcome in ("failed", "diverged", "out of steps"):
        assert outcome in run.stdout
    rows = (tmp_path / STUDY / "trial_1/eval_measurements.csv").read_text()
    assert rows.count("\n") == 3  # the header, and steps 1 and 5
    only_divergence = ("--hparam_start_index=1", "--hparam_end_index=2")
    again = algoperf(
        "run", "--workload=digits", "--submission_path=mine", *flags, *only_divergence
    )
    assert again.returncode == 0, "a trial that diverges is a result"
