"""Submissions of the pmap era run here as they are, on one device and on four."""

import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_resume import start

import algoperf.spec
from algoperf.cli.bundled import bundled_submissions
from algoperf.facts import UserError
from algoperf.pmap_style import (
    OldWorkload,
    as_jit_style,
    merged,
    split_batch,
    stacked,
    style_of,
)
from algoperf.records import read_json
from algoperf.submission import load_submission

OLD = Path(__file__).parent / "submissions/pmap_era"
LINE = ["run", "--workload=digits", "--rng_seed=3", "--max_global_steps=30"]
LINE += ["--eval_every_steps=15"]

# The same algorithm in today's style: one jitted step over the global batch.
TODAY = """
import functools
import jax
import jax.numpy as jnp
import optax
from algoperf import spec

def get_batch_size(workload_name):
    raise ValueError(workload_name)

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    optimizer = optax.sgd(0.1, momentum=0.9)
    return optimizer.init(jax.tree.map(jnp.zeros_like, params)), optimizer.update

@functools.partial(jax.jit, static_argnums=(0, 1))
def step(workload, update, state, params, batch, rng):
    def mean(params):
        logits, _ = workload.model_fn(
            params, batch, None, spec.ForwardPassMode.TRAIN, rng, True
        )
        loss = workload.loss_fn(batch["targets"], logits)
        return loss["summed"] / loss["n_valid_examples"]
    updates, state = update(jax.grad(mean)(params), state, params)
    return optax.apply_updates(params, updates), state

def update_params(*, workload, current_param_container, model_state, batch,
                  optimizer_state, rng, **rest):
    state, update = optimizer_state
    params, state = step(workload, update, state, current_param_container, batch, rng)
    return (state, update), params, model_state
"""


def metrics(folder: Path, name: str) -> list[list[float]]:
    """Validation losses and accuracies of a trial, row by row."""
    trial = folder / f"experiments/{name}/study_0/digits_jax/trial_1"
    header, *rows = (trial / "eval_measurements.csv").read_text().splitlines()
    columns = [
        i for i, c in enumerate(header.split(",")) if c.startswith("validation/")
    ]
    return [[float(row.split(",")[i]) for i in columns] for row in rows]


@pytest.mark.parametrize("devices", [1, 4])
def test_it_trains_like_the_same_algorithm_of_today(algoperf, tmp_path, devices):
    (tmp_path / "today").mkdir()
    (tmp_path / "today/submission.py").write_text(TODAY)
    for path in (str(OLD), "today"):
        done = algoperf(*LINE, f"--submission_path={path}", devices=devices)
        assert done.returncode == 0, done.stdout + done.stderr
    np.testing.assert_allclose(
        metrics(tmp_path, "pmap_era"), metrics(tmp_path, "today"), rtol=2e-4
    )


def test_the_trial_says_what_was_adapted(algoperf, tmp_path):
    done = algoperf(*LINE, f"--submission_path={OLD}", devices=2)
    assert "supplied, since JAX has removed it: jax.tree_map" in done.stdout
    assert "runs in the pmap style: arrays by device" in done.stdout
    trial = tmp_path / "experiments/pmap_era/study_0/digits_jax/trial_1"
    record = read_json(trial / "trial.json")
    assert record["submission_style"] == "pmap"
    assert record["removed_names"] == ["jax.tree_map"]
    logged = (trial / "measurements.csv").read_text().splitlines()
    assert len(logged) > 30  # the submission's own loss, every step


def ended(process) -> int:
    """The exit code, with the pipes closed."""
    process.communicate(timeout=120)
    return process.returncode


@pytest.mark.slow
def test_a_killed_trial_ends_as_an_uninterrupted_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert ended(start(whole, 2, OLD)) == 0
    process = start(killed, 2, OLD)
    rows = killed / "experiments/pmap_era/study_0/digits_jax/trial_1"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        file = rows / "eval_measurements.csv"
        if file.exists() and file.read_text().count("\n") > 4:
            process.kill()
        time.sleep(0.01)
    assert ended(process) != 0, "it ended before it was killed"
    assert ended(start(killed, 2, OLD)) == 0
    assert metrics(killed, "pmap_era") == metrics(whole, "pmap_era")


def test_the_style_is_found_or_given(tmp_path):
    old = load_submission(OLD)
    assert style_of(old) == "pmap"
    assert style_of(old, "jit") == "jit"
    (tmp_path / "submission.py").write_text(TODAY)
    today = load_submission(tmp_path)
    assert style_of(today) == "jit"
    assert style_of(today, "pmap") == "pmap"


def test_the_old_package_is_the_new_one():
    load_submission(OLD)
    old_spec = import_module("algorithmic_efficiency.spec")
    param_utils = import_module("algorithmic_efficiency").param_utils
    assert old_spec is algoperf.spec
    assert param_utils.jax_param_shapes({"a": jnp.ones((2, 3))}) == {
        "a": algoperf.spec.ShapeTuple((2, 3))
    }


def test_the_device_axis_comes_and_goes():
    devices = jax.device_count()
    tree = {"a": jnp.arange(6.0).reshape(2, 3), "n": jnp.int32(7)}
    with_axis = stacked(tree)
    assert with_axis["a"].shape == (devices, 2, 3)
    assert len(with_axis["a"].addressable_shards) == devices
    back = merged(with_axis)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    assert back["a"].is_fully_replicated
    # Batch statistics differ by device: their mean is evaluated.
    parts = stacked({"mean": jnp.zeros(2)})["mean"] + jnp.arange(devices)[:, None]
    assert merged({"mean": parts})["mean"].tolist() == [(devices - 1) / 2] * 2
    batch = {"inputs": np.arange(4 * devices).reshape(-1, 1)}
    assert split_batch(batch)["inputs"].shape == (devices, 4, 1)


def test_dropout_is_that_of_the_hyperparameters():
    @dataclass(frozen=True)
    class Point:
        dropout_rate: float = 0.3

    class Workload:
        step_hint = 9

        def model_fn(self, params, dropout_rate=0.1):
            return params, dropout_rate

    assert OldWorkload(Workload(), Point()).model_fn(1) == (1, 0.3)
    assert OldWorkload(Workload(), Point()).model_fn(1, dropout_rate=0.0) == (1, 0.0)
    assert OldWorkload(Workload(), None).model_fn(1) == (1, 0.1)
    assert OldWorkload(Workload(), None).step_hint == 9


def test_it_is_refused_where_several_processes_train_together(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match=r"pmap style run in one process.*one of 2"):
        as_jit_style(load_submission(bundled_submissions()["adamw"]))
