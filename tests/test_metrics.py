"""Metrics are ratios of sums over examples that are not padding."""

from typing import Any

import jax
import numpy as np
import pytest

from algoperf import losses
from algoperf.metrics import CLASSIFICATION, measure_classification, summed_ratios
from algoperf.spec import ForwardPassMode

CLASSES = 4
RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(scale=2.0, size=(12, CLASSES)).astype(np.float32)
TARGETS = RANDOM.integers(CLASSES, size=12).astype(np.int32)
KEY = jax.random.PRNGKey(0)


class LogitsInTheBatch:
    """A workload whose model returns its input."""

    def __init__(self) -> None:
        self.modes: list[Any] = []

    def model_fn(self, params, batch, model_state, mode, rng, update_batch_norm):
        assert not update_batch_norm
        self.modes.append(mode)
        return batch["inputs"], model_state

    loss_fn = staticmethod(losses.softmax_cross_entropy)


def batch(rows: slice, padding: int = 0, garbage: float = 0.0) -> dict[str, Any]:
    logits, targets = LOGITS[rows], TARGETS[rows]
    filler = np.full((padding, CLASSES), garbage, np.float32)
    return {
        "inputs": np.concatenate([logits, filler]),
        "targets": np.concatenate([targets, np.zeros(padding, np.int32)]),
        "weights": np.concatenate([np.ones(len(logits)), np.zeros(padding)]).astype(
            np.float32
        ),
    }


def measured(*batches: dict[str, Any]) -> dict[str, float]:
    workload: Any = LogitsInTheBatch()
    parts = [measure_classification(workload, {}, None, b, KEY) for b in batches]
    return CLASSIFICATION.summarize(jax.device_get(parts))


def by_hand() -> dict[str, float]:
    logits = LOGITS.astype(np.float64)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return {
        "accuracy": float(np.mean(np.argmax(LOGITS, axis=1) == TARGETS)),
        "loss": float(-np.mean(log_softmax[np.arange(12), TARGETS])),
    }


def test_accuracy_and_loss_are_those_computed_by_hand():
    values = measured(batch(slice(None)))
    assert values == pytest.approx(by_hand(), rel=1e-5)
    assert values["accuracy"] == pytest.approx(by_hand()["accuracy"], rel=1e-15)


@pytest.mark.parametrize("garbage", [0.0, 100.0, np.nan, np.inf])
def test_padding_does_not_change_the_metrics(garbage):
    parts = [batch(slice(0, 8)), batch(slice(8, None), 4, garbage)]
    assert measured(*parts) == pytest.approx(by_hand(), rel=1e-5)


@pytest.mark.parametrize("size", [1, 3, 5, 12])
def test_the_batch_size_does_not_change_the_metrics(size):
    parts = [batch(slice(i, i + size)) for i in range(0, 12, size)]
    values = measured(*parts)
    assert values == pytest.approx(by_hand(), rel=1e-5)
    assert values["accuracy"] == by_hand()["accuracy"]


def test_a_batch_of_padding_alone_counts_nothing():
    parts = [batch(slice(None)), batch(slice(0, 0), 4, np.nan)]
    assert measured(*parts) == pytest.approx(by_hand(), rel=1e-5)


def test_a_model_is_measured_in_eval_mode():
    workload: Any = LogitsInTheBatch()
    measure_classification(workload, {}, None, batch(slice(None)), KEY)
    assert workload.modes == [ForwardPassMode.EVAL]


def test_measuring_can_be_compiled():
    workload: Any = LogitsInTheBatch()
    part = batch(slice(8, None), 4)
    measure = jax.jit(lambda b: measure_classification(workload, {}, None, b, KEY))
    eager = measure_classification(workload, {}, None, part, KEY)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), measure(part), eager
    )


def test_sums_are_in_float64():
    # In float32 adding 1 to 2**24 changes nothing.
    parts = [(np.float32(2**24), np.float32(1))] + [(np.float32(1), np.float32(0))] * 8
    values = summed_ratios([{"loss": part} for part in parts])
    assert values == {"loss": float(2**24 + 8)}
    assert type(values["loss"]) is float


def test_ratios_weigh_batches_by_their_denominators():
    parts = [{"loss": (4.0, 8.0)}, {"loss": (1.0, 2.0)}, {"loss": (5.0, 0.0)}]
    assert summed_ratios(parts) == {"loss": 1.0}


def test_a_ratio_of_nothing_is_nan_and_spoils_no_other():
    values = summed_ratios([{"loss": (0.0, 0.0), "accuracy": (1.0, 2.0)}] * 2)
    assert np.isnan(values["loss"])
    assert values["accuracy"] == 0.5
