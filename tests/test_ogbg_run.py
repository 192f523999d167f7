"""ogbg from prepared files to numbers: training, and evaluation on any device count."""

import functools
import json
import math
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import small_graphs
import tiny_molpcba as tiny
from conftest import environment
from fakes import Quiet

from algoperf.cli.main import main
from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.prepare.run import prepare
from algoperf.spec import ForwardPassMode
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import RunOptions, TrialRun
from workloads.loading import load, without_data

SIZES = ("1", "16", "40", "4096")
MORE_DEVICES = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 4, 8)]
every_device_count = pytest.mark.parametrize("devices", [2, *MORE_DEVICES])
PREFIXES = {"eval_train": "train", "validation": "validation", "test": "test"}
METRICS = ("accuracy", "loss", "mean_average_precision")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A prepared data set."""
    raw = tiny.write_csv(tmp_path_factory.mktemp("raw"))
    data_dir = tmp_path_factory.mktemp("data")
    prepare(tiny.molpcba(), raw, data_dir, lambda line: None)
    return data_dir / "ogbg"


@pytest.fixture(scope="module")
def measured(folder):
    @functools.cache
    def of(devices: int):
        """What a process with so many devices measures, by batch size."""
        variables = environment(devices)
        variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
        process = subprocess.run(
            [sys.executable, small_graphs.__file__, str(folder), *SIZES],
            env=variables,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return of


@pytest.mark.slow
def test_metrics_are_those_of_every_graph_on_its_own(measured, folder):
    # A batch a graph, and all labels of a split in one table.
    import sklearn.metrics

    workload = small_graphs.small(folder)
    params = small_graphs.perturbed(workload)
    forward = jax.jit(
        lambda batch: workload.model_fn(
            params, batch, None, ForwardPassMode.EVAL, small_graphs.KEY, False
        )[0]
    )
    for split, prefix in PREFIXES.items():
        logits, labels, known = [], [], []
        for batch in workload.data.batches(split, 2, 0):
            first = np.arange(2) * 2  # of two rows a shard the second is padding
            logits.append(np.asarray(forward(batch))[first])
            labels.append(batch["targets"][first])
            known.append(batch["weights"][first] > 0)
        z, y, k = map(np.concatenate, (logits, labels, known))
        losses = np.logaddexp(0, z.astype(float)) - y * z
        precisions = [
            sklearn.metrics.average_precision_score(y[one, i], z[one, i])
            for i, one in enumerate(k.T)
            if y[one, i].any()
        ]
        expected = {
            "loss": losses[k].mean(),
            "accuracy": ((z > 0) == y)[k].mean(),
            "mean_average_precision": np.mean(precisions),
        }
        assert k.sum() > 500
        for name, value in expected.items():
            found = measured(2)["4096"][f"{prefix}/{name}"]
            np.testing.assert_allclose(found, value, rtol=1e-5, err_msg=name)


@every_device_count
def test_batch_size_and_devices_change_no_metric(measured, devices):
    expected = measured(2)["4096"]
    assert expected["validation/num_examples"] == tiny.EXAMPLES["validation"]
    for size in SIZES:
        found = measured(devices)[size]
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


@every_device_count
def test_devices_change_no_training_batch(measured, devices):
    # Dropout draws for the whole batch, whatever device has which shard.
    found, expected = measured(devices)["gradient"], measured(2)["gradient"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


SGD = '''
"""Gradient descent on batches of 32."""
import optax
from algoperf.optax_submission import optax_submission

_, init_optimizer_state, update_params = optax_submission(
    lambda hyperparameters, step_hint: optax.sgd(0.01)
)

def get_batch_size(workload_name):
    return 32
'''


class Watch(Quiet):
    """Keeps what was measured."""

    def evaluated(self, progress):
        self.results = progress.eval_results


@pytest.mark.parametrize("real", [True, False])
def test_ten_steps_and_evaluations(folder, tmp_path, real):
    (tmp_path / "sgd.py").write_text(SGD)
    workload = small_graphs.small(
        folder if real else None,
        eval_batch_size=16,
        validation_target=2.0,  # out of reach
    )
    plan = TrialPlan(0, 1, 3, None, tmp_path / "trial_1")
    options = RunOptions(
        "self",
        Limits(max_runtime_s=1e9, max_steps=10),
        save_checkpoints=False,
        random_data=not real,
    )
    watch = Watch()
    record = TrialRun(plan, workload, tmp_path / "sgd.py", options, watch).run(
        StopRequest()
    )
    assert record["error"] is None
    assert (record["outcome"], record["steps"]) == ("out of steps", 10)
    (_, first), (step, last) = watch.results
    assert step == 10
    for prefix in PREFIXES.values():
        values = [last[f"{prefix}/{name}"] for name in METRICS]
        assert all(math.isfinite(value) for value in values)
    if real:
        assert last["train/loss"] < first["train/loss"]


@pytest.mark.parametrize("name", ["ogbg", "ogbg_model_size"])
def test_full_workloads_have_the_shapes_of_the_facts_on_random_data(name):
    workload = without_data(name)
    batch = next(workload.data.batches("train", 512, 0))
    assert batch["inputs"].nodes.shape == (8, 26 * 64 + 1, 9)
    assert batch["targets"].shape == batch["weights"].shape == (8 * 65, 128)
    # All 512 graphs are there: their sizes are those that capacity counts on.
    assert np.count_nonzero(batch["inputs"].n_edge == 56) == 512
    (evaluation,) = workload.data.batches("validation", 64, 0)
    assert np.count_nonzero(evaluation["inputs"].n_edge == 56) == 64
    assert workload.is_output_params({"ogbg": "Dense_15"}.get(name, "Dense_18"))
    assert workload.default_dropout_rate == 0.1


def test_an_evaluation_without_any_positive_or_label_gives_no_precision(folder):
    workload = small_graphs.small(folder)
    params, _ = workload.init_model_fn(small_graphs.KEY)
    batch = next(workload.batches("test", 16))
    parts = [
        workload.measure(params, None, {**batch, name: 0 * batch[name]}, None)
        for name in ("targets", "weights")
    ]
    none_positive, none_known = (
        workload.metrics.summarize(jax.device_get([part])) for part in parts
    )
    assert math.isnan(none_positive["mean_average_precision"])
    assert math.isfinite(none_positive["loss"])
    assert all(math.isnan(value) for value in none_known.values())


def test_missing_data_is_named_with_the_command_that_prepares_it(tmp_path, capsys):
    with pytest.raises(UserError) as error:
        load("ogbg_gelu", tmp_path, DataOptions())
    text = str(error.value)
    assert f"{tmp_path / 'ogbg'} does not have the data of ogbg_gelu" in text
    assert "missing: molpcba-train.npz, molpcba-validation.npz, " in text
    assert "`algoperf prepare --workload=ogbg --data_dir=DIR --download`" in text
    assert main(["prepare", "--workload=ogbg", f"--data_dir={tmp_path}"]) == 2
    assert "pcba.zip" in capsys.readouterr().err
