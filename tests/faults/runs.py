"""Trials to disturb, and what has to be the same afterwards."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from conftest import command, environment
from test_resume import SUBMISSION, rows_without_times

from algoperf import records
from algoperf.checkpoint import Checkpoints
from algoperf.train_state import TrainState

FAULTY = str(Path(__file__).with_name("faulty.py"))
EVERY = 20
FLAGS = (
    "run",
    "--workload=digits",
    f"--submission_path={SUBMISSION}",
    "--rng_seed=7",
    f"--eval_every_steps={EVERY}",
    "--probe=off",
)


def line(steps: int, *flags: str, fault: Any = None) -> list[str]:
    """The command line of a trial of so many steps, with a fault if there is to be."""
    words = [*FLAGS, f"--max_global_steps={steps}", *flags]
    if fault is None:
        return command(words)
    return [sys.executable, FAULTY, json.dumps(fault), *words]


def run(
    folder: Path, words: list[str], devices: int = 1, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        words,
        cwd=folder,
        env=environment(devices),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def trial_of(folder: Path, study: int = 0) -> Path:
    return records.trial_folder(folder / "experiments/resumable", study, "digits", 1)


def record_of(trial: Path) -> dict[str, Any]:
    record = records.read_json(trial / records.TRIAL)
    assert record is not None
    return record


def leaves_of(trial: Path) -> dict[str, np.ndarray]:
    """The arrays and numbers of the last checkpoint, and how far it is."""
    checkpoints = Checkpoints(trial / "checkpoints", keep=None)
    # The step function is the one leaf that is not stored.
    restored = checkpoints.restore(TrainState(None, None, {"step": print}))
    checkpoints.close()
    assert restored is not None
    leaves, _ = jax.tree_util.tree_flatten_with_path(restored[0])
    values = {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in leaves
        if leaf is not print
    }
    return values | {"steps": np.asarray(restored[1]["step"])}


def assert_equal_trials(expected: Path, found: Path) -> None:
    """Equal in every value and bit, seconds aside; nothing half-written is left."""
    left = [*found.glob("checkpoints/*tmp*"), *found.glob(".*.tmp")]
    assert left == []
    for name in (records.EVALS, records.MEASUREMENTS):
        rows = rows_without_times(expected / name)
        assert rows_without_times(found / name) == rows, (found, name)
    first, second = record_of(expected), record_of(found)
    for name in ("outcome", "steps", "best", "settings", "seed"):
        assert second[name] == first[name], (found, name)
    leaves = leaves_of(expected)
    assert leaves_of(found).keys() == leaves.keys()
    for path, values in leaves_of(found).items():
        np.testing.assert_array_equal(values, leaves[path], err_msg=path)
