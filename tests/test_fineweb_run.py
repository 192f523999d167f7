"""finewebedu_lm trains and is measured: on random data, tiny files, any devices."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import small_language_model as small
from conftest import environment
from fakes import Quiet

from algoperf.cli.bundled import bundled_submissions
from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.loading import build

RUNNER = Path(small.__file__)
SIZES = ("3", "17", "40")
MORE_DEVICES = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 4, 8)]


@pytest.fixture
def folder(tmp_path) -> Path:
    small.write_tokens(tmp_path)
    return tmp_path


def run(workload, folder: Path, log_dynamics=False) -> tuple[dict, list]:
    """The record and the rows of measurements.csv of a trial of ten steps."""
    observer = Quiet()
    plan = TrialPlan(0, 1, 0, None, folder / "trial_1")
    trial = TrialRun(
        plan,
        workload,
        bundled_submissions()["nadamw"],
        RunOptions(
            "self",
            Limits(max_runtime_s=1e9, max_steps=10, eval_every_steps=5),
            save_checkpoints=False,
            log_dynamics=log_dynamics,
        ),
        observer,
    )
    record = trial.run(StopRequest())
    assert "the model computes in bfloat16" in observer.messages
    with (plan.folder / "measurements.csv").open(newline="") as file:
        return record, list(csv.DictReader(file))


@pytest.fixture(scope="module")
def ten_steps(tmp_path_factory) -> tuple[dict, list]:
    folder = tmp_path_factory.mktemp("plain")
    small.write_tokens(folder)
    return run(small.small_workload(folder), folder)


def test_ten_steps_and_an_evaluation_on_files(ten_steps):
    record, rows = ten_steps
    assert record["outcome"] == "out of steps"
    # The precision and that there is no test split are on record.
    workload = record["settings"]["workload"]
    assert workload["model"]["compute_dtype"] == "bfloat16"
    assert workload["test_target"] is None
    evaluations = [row for row in rows if row["validation/ppl"]]
    assert [row["global_step"] for row in evaluations] == ["1", "5", "10"]
    for row in evaluations:
        for split in ("train", "validation"):
            loss = float(row[f"{split}/loss"])
            np.testing.assert_allclose(float(row[f"{split}/ppl"]), np.exp(loss))
        assert row["validation/num_examples"] == "17"
    assert not any(name.startswith("test/") for name in rows[0])
    losses = [float(row["train/loss"]) for row in evaluations]
    assert losses[-1] < losses[0]


def test_random_batches_are_evaluated():
    workload = build(small.FACTS, None, DataOptions(random=True))
    params, state = workload.init_model_fn(jax.random.PRNGKey(0))
    found = workload.eval_model(4, params, state, jax.random.PRNGKey(1))
    # Small matrices make all tokens about as likely as each other.
    np.testing.assert_allclose(found["validation/ppl"], small.VOCAB_SIZE, rtol=0.1)


def test_a_wrong_token_ends_the_run_with_its_name(folder):
    tokens = np.memmap(folder / "train.bin", "<u2", mode="r+")
    tokens[:] = small.VOCAB_SIZE
    with pytest.raises(UserError, match=r"train\.bin has token 61 at place"):
        run(small.small_workload(folder), folder)


def test_the_loss_is_the_mean_over_tokens_and_ppl_its_exponential(folder):
    workload = small.small_workload(folder)
    params, state = workload.init_model_fn(jax.random.PRNGKey(0))
    found = workload.eval_model(5, params, state, jax.random.PRNGKey(1))
    tokens = np.fromfile(folder / "val.bin", "<u2").reshape(17, -1).astype(np.int32)
    logits = jax.jit(workload.model.apply)({"params": params}, tokens[:, :-1])
    logits = np.asarray(logits, np.float64)
    log_z = np.log(np.exp(logits).sum(axis=-1))
    chosen = np.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
    loss = np.mean(log_z - chosen)
    np.testing.assert_allclose(found["validation/loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(found["validation/ppl"], np.exp(loss), rtol=1e-4)


def measured(devices: int) -> list[dict[str, float]]:
    """By batch size, in a process with so many devices."""
    process = subprocess.run(
        [sys.executable, str(RUNNER), *SIZES],
        env=environment(devices),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


@pytest.mark.parametrize("devices", [2, *MORE_DEVICES])
def test_batch_size_and_devices_change_no_metric(devices, folder):
    workload = small.small_workload(folder)
    params, state = workload.init_model_fn(jax.random.PRNGKey(0))
    params = jax.tree.map(lambda leaf: 3 * leaf, params)
    wanted = workload.eval_model(16, params, state, jax.random.PRNGKey(1))
    assert wanted["validation/ppl"] != wanted["train/ppl"]
    for found in measured(devices):
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_dynamics_are_logged_and_change_nothing(ten_steps, folder):
    plain, rows = ten_steps
    logged, more = run(small.small_workload(folder), folder, log_dynamics=True)
    assert plain["settings"] == logged["settings"]
    names = ("train/loss", "validation/loss")
    losses = [[[r[n] for n in names] for r in t if r[names[0]]] for t in (rows, more)]
    assert losses[0] == losses[1]
    found = [row for row in more if row["dynamics/param_rms"]]
    assert [row["global_step"] for row in found] == ["1", "5", "10"]
    assert [row["dynamics/update_steps"] for row in found] == ["1", "4", "5"]
    for row in found:
        values = {k: float(v) for k, v in row.items() if k.startswith("dynamics/")}
        assert len(values) == 7
        assert all(np.isfinite(value) for value in values.values())
        # A bound that normalised queries and keys give: the learned scale.
        assert 0 < values["dynamics/max_attention_logit"] < 1.1 * 5.8
        assert values["dynamics/log_partition_rms"] >= values["dynamics/log_partition"]
