"""An evaluation is one pass over every split; NumPy computes the same."""

import math
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from algoperf.evaluate import evaluate
from algoperf.workload import Workload
from workloads.loading import load

KEY = jax.random.PRNGKey(0)


@pytest.fixture(scope="module", params=["digits", "mnist_mini"])
def workload(request) -> Workload:
    return load(request.param)


@pytest.fixture(scope="module")
def initial(workload) -> tuple[Any, Any]:
    return workload.init_model_fn(KEY)


def dense(x: np.ndarray, layer: dict[str, Any]) -> np.ndarray:
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"])


def logits_by_hand(params: Any, images: np.ndarray) -> np.ndarray:
    x = images.reshape(len(images), -1).astype(np.float64)
    if "output" in params:  # digits
        x = np.maximum(dense(x, params["hidden_0"]), 0)
        return dense(np.maximum(dense(x, params["hidden_1"]), 0), params["output"])
    return dense(1 / (1 + np.exp(-dense(x, params["Dense_0"]))), params["Dense_1"])


def test_an_evaluation_gives_what_numpy_computes(workload, initial):
    params, state = initial
    values = evaluate(workload, params, state, KEY)
    for split, prefix in (("eval_train", "train"), ("test", "test")):
        size = workload.facts.examples[split]
        batch = next(workload.data.batches(split, size, seed=0))
        logits, rows = logits_by_hand(params, batch["inputs"]), np.arange(size)
        right = np.argmax(logits, axis=1) == batch["targets"]
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[rows, batch["targets"]]
        # A tie may fall either way in float32.
        assert values[f"{prefix}/accuracy"] == pytest.approx(right.mean(), abs=2 / size)
        assert values[f"{prefix}/loss"] == pytest.approx(losses.mean(), rel=1e-4)


def test_an_evaluation_has_algoperfs_keys(workload, initial):
    values = evaluate(workload, *initial, KEY)
    assert set(values) == {
        f"{prefix}/{name}"
        for prefix in ("train", "validation", "test")
        for name in ("accuracy", "loss")
    } | {"validation/num_examples", "test/num_examples"}
    assert values["test/num_examples"] == workload.num_test_examples
    assert all(math.isfinite(value) for value in values.values())


def test_an_odd_batch_size_is_rounded_up_to_the_devices(workload, initial):
    assert jax.device_count() == 2
    sizes = []
    batches = workload.data.batches

    def noted(split, batch_size, seed, position=0):
        sizes.append(batch_size)
        return batches(split, batch_size, seed, position)

    source: Any = type("Source", (), {"batches": staticmethod(noted)})
    evaluate(replace(workload, data=source), *initial, KEY, 101)
    assert sizes == [102, 102, 102]


def test_a_workload_without_a_test_set_has_no_test_metrics(workload, initial):
    examples = {**workload.facts.examples, "test": 0}
    facts = replace(workload.facts, examples=examples)
    without = replace(workload, facts=facts)
    values = evaluate(without, *initial, KEY)
    assert not any(name.startswith("test/") for name in values)
    assert "validation/accuracy" in values


def test_a_split_is_summarized_while_the_next_one_is_measured(workload, initial):
    def measured(split, *arguments):
        if split == "validation":
            next_one.set()
        return workload.data.batches(split, *arguments)

    def summarize(parts):
        assert next_one.wait(60)
        return workload.metrics.summarize(parts)

    next_one = threading.Event()
    data = SimpleNamespace(batches=measured)
    metrics = workload.metrics._replace(summarize=summarize)
    slow = replace(workload, data=data, metrics=metrics)
    assert evaluate(slow, *initial, KEY) == evaluate(workload, *initial, KEY)


def test_what_a_summary_raises_ends_the_evaluation(workload, initial):
    def summarize(parts):
        raise ValueError("no tokenizer")

    metrics = workload.metrics._replace(summarize=summarize)
    with pytest.raises(ValueError, match="no tokenizer"):
        evaluate(replace(workload, metrics=metrics), *initial, KEY)
