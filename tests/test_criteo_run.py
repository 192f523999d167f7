"""The click workloads as a whole: built, evaluated, and trained on prepared logs."""

import functools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click_logs as logs
import jax
import numpy as np
import pytest
import small_clicks
from conftest import environment
from fakes import Quiet
from plain_graphs import plain_dlrm

from algoperf.data_options import DataOptions
from algoperf.facts import EVAL_SPLITS, UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.catalog import CATALOG
from workloads.criteo.workload import build
from workloads.loading import without_data

RUNNER = Path(small_clicks.__file__)
NAMES = tuple(small_clicks.MODELS)
SIZES = ("3", "17", "40")  # splits of 13, 17 and 9: in parts, whole, padded
SUBMISSION = '''
"""Gradient descent on batches of eight."""
import optax
from algoperf.optax_submission import optax_submission

_, init_optimizer_state, update_params = optax_submission(
    lambda hyperparameters, step_hint: optax.sgd(0.1)
)

def get_batch_size(workload_name):
    return 8
'''


# --- the facts and the models -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("criteo1tb", 539_267_457),
        ("criteo1tb_test", 10_785_153),
        ("criteo1tb_layernorm", 539_275_137),
        ("criteo1tb_embed_init", 539_267_457),
        ("criteo1tb_resnet", 538_121_473),
    ],
)
def test_full_workloads_have_the_published_number_of_parameters(name, count):
    workload = without_data(name)
    assert workload.num_params == count
    assert workload.is_output_params("Dense_7")
    shape = workload.param_shapes["Dense_7"]["kernel"].shape_tuple
    assert shape[-1] == 1


def test_evaluation_batches_fill_eval_train():
    facts = CATALOG["criteo1tb"]
    batches = -(-facts.examples["validation"] // facts.eval_batch_size)
    assert facts.examples["eval_train"] == batches * facts.eval_batch_size


def test_the_embedding_of_embed_init_is_as_wide_as_its_facts_say():
    workload = build(
        replace(small_clicks.small_facts("criteo1tb"), examples=small_clicks.EXAMPLES),
        None,
        DataOptions(),
    )
    table = workload.init_model_fn(jax.random.PRNGKey(0))[0]["embedding_table"]
    assert 0.9 < table.max() < 1
    scales = {
        name: CATALOG[name].model.get("embed_init_scale")
        for name in ("criteo1tb", "criteo1tb_embed_init")
    }
    assert scales == {"criteo1tb": None, "criteo1tb_embed_init": 1.0}


def test_an_unknown_architecture_is_named():
    facts = replace(CATALOG["criteo1tb"], model={"architecture": "resnets"})
    with pytest.raises(UserError) as error:
        build(facts, None, DataOptions(random=True))
    assert str(error.value) == (
        "criteo1tb has no architecture 'resnets'; did you mean resnet? it must be one "
        "of dlrm, resnet. Change it in the workload's facts."
    )


def test_random_rows_are_labels_counts_and_ids():
    workload = without_data("criteo1tb")
    batch = next(workload.batches("train", 256))
    assert set(np.unique(batch["targets"])) == {0, 1}
    ids = np.asarray(batch["inputs"][:, 13:])
    # A column of three categories, and one of 39,979,771.
    assert set(np.unique(ids[:, 5])) == {0, 1, 2}
    assert 30e6 < ids[:, 19].max() < 39_979_771
    assert np.all(ids >= 0)


# --- evaluation ---------------------------------------------------------------------


@functools.cache
def measured(devices: int) -> dict[str, dict[str, Any]]:
    """What a process with so many devices measures, by workload and batch size."""
    variables = environment(devices)
    variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
    process = subprocess.run(
        [sys.executable, str(RUNNER), *SIZES],
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    return {name: values for line in lines for name, values in line.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_mean_over_the_examples(name):
    workload = small_clicks.small(name)
    params, _ = jax.device_get(workload.init_model_fn(jax.random.PRNGKey(0)))
    spread = []
    for split, prefix in zip(EVAL_SPLITS, ("train", "validation", "test"), strict=True):
        rows = next(workload.data.batches(split, small_clicks.EXAMPLES[split], 0))
        counts = np.log1p(rows["rows"][:, 1:14].astype(np.float64))
        ids = rows["rows"][:, 14:].astype(np.float32)
        inputs = np.concatenate([counts, ids], axis=1)
        logits = plain_dlrm(params, inputs, resnet=name.endswith("resnet"))[:, 0]
        losses = np.logaddexp(0, logits) - rows["rows"][:, 0] * logits
        found = measured(2)[name]["17"][f"{prefix}/loss"]
        np.testing.assert_allclose(found, losses.mean(), rtol=1e-5)
        spread.append(logits.std())
    assert min(spread) > 0.02


@pytest.mark.parametrize(
    "devices", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4, 8))]
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_batch_size_and_devices_change_nothing(name, devices, size):
    found, expected = measured(devices)[name][size], measured(2)[name]["17"]
    assert found.keys() == expected.keys()
    for metric, value in expected.items():
        np.testing.assert_allclose(found[metric], value, rtol=1e-6, err_msg=metric)


# --- training -----------------------------------------------------------------------


class Watch(Quiet):
    """Keeps what the last evaluation measured."""

    values: dict[str, float]

    def evaluated(self, progress):
        self.values = progress.eval_results[-1][1]


@pytest.mark.parametrize(
    "name",
    [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])],
)
def test_prepared_logs_are_trained_on_for_ten_steps(name, tmp_path):
    folder = logs.prepared(tmp_path)
    facts = replace(
        small_clicks.small_facts(name), examples=logs.EXAMPLES, eval_batch_size=8
    )
    submission = tmp_path / "eight.py"
    submission.write_text(SUBMISSION)
    plan = TrialPlan(0, 1, 3, None, tmp_path / "trial_1")
    options = RunOptions(
        "self", Limits(max_runtime_s=1e9, max_steps=10), save_checkpoints=False
    )
    watch = Watch()
    workload = build(facts, folder, DataOptions(threads=2))
    record = TrialRun(plan, workload, submission, options, watch).run(StopRequest())
    assert (record["error"], record["outcome"]) == (None, "out of steps")
    assert record["steps"] == 10
    for split in ("train", "validation", "test"):
        assert 0.1 < watch.values[f"{split}/loss"] < 5
    assert watch.values["validation/num_examples"] == 11
