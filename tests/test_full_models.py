"""Models of full size: ten steps and an evaluation, as users run them.

On random batches of two examples, in a process of its own each; the data of the full
workloads is tried with tiny sets and small models beside the rest of each of them.
"""

import csv
import json
import math
import subprocess

import pytest
from conftest import command, environment

from workloads.catalog import CATALOG

TWO = '''
"""Gradient descent on batches of two."""
import optax
from algoperf.optax_submission import optax_submission

_, init_optimizer_state, update_params = optax_submission(
    lambda hyperparameters, step_hint: optax.sgd(0.001)
)

def get_batch_size(workload_name):
    return 2
'''
STEPS = 10
# The whole table of criteo1tb takes 10 GB with its gradient.
NAMES = [
    "criteo1tb_test" if name == "criteo1tb" else name
    for name, facts in CATALOG.items()
    if facts.scale == "full" and facts.base == name
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_and_an_evaluation(name, tmp_path):
    (tmp_path / "two.py").write_text(TWO)
    flags = (
        f"--workload={name} --submission_path=two.py --data=random --eval_batch_size=2 "
        f"--max_global_steps={STEPS} --max_runtime_factor=100 --nosave_checkpoints"
    )
    ended = subprocess.run(
        command(["run", *flags.split()]),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    folder = tmp_path / f"experiments/two/study_0/{name}_jax/trial_1"
    record = json.loads((folder / "trial.json").read_text())
    assert record["steps"] == STEPS
    facts = CATALOG[name]
    with open(folder / "eval_measurements.csv", newline="") as stream:
        *_, row = csv.DictReader(stream)
    for split, count in facts.examples.items():
        prefix = "train" if split == "eval_train" else split
        if count and split != "train":
            assert math.isfinite(float(row[f"{prefix}/{facts.metric}"]))
