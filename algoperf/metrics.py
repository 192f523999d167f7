"""Metrics: measure each batch on the device, summarise a split on the host."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.spec import Batch, ForwardPassMode, Workload

Measurement = Any  # a tree of arrays, one per batch


class Metrics(NamedTuple):
    """How a workload turns a split into numbers.

    `measure(workload, params, model_state, batch, rng)` runs on the device and is
    compiled once per shape; `summarize` gets the measurements of all batches as
    NumPy arrays, in order, and returns one number per metric; it runs in a thread
    beside the next split.
    """

    measure: Callable[[Workload, Any, Any, Batch, jax.Array], Measurement]
    summarize: Callable[[Sequence[Measurement]], dict[str, float]]


def summed_ratios(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Adds up pairs (numerator, denominator) per name in float64 and divides.

    NaN where nothing counts.
    """
    values = {}
    for name in measurements[0]:
        pairs = np.asarray([part[name] for part in measurements], np.float64)
        numerator, denominator = pairs.sum(axis=0)
        values[name] = float(numerator / denominator) if denominator else math.nan
    return values


def measure_classification(
    workload: Workload, params: Any, model_state: Any, batch: Batch, rng: jax.Array
) -> Measurement:
    """Accuracy and loss over the examples of a batch whose weight is not zero.

    `batch` has `inputs`, integer `targets` [batch] and `weights` [batch].
    """
    logits, _ = workload.model_fn(
        params,
        batch,
        model_state,
        ForwardPassMode.EVAL,
        rng,
        update_batch_norm=False,
    )
    weights = batch["weights"]
    correct = jnp.argmax(logits, axis=-1) == batch["targets"]
    loss = workload.loss_fn(batch["targets"], logits, weights)
    return {
        "accuracy": (jnp.sum(correct * weights), weights.sum()),
        "loss": (loss["summed"], loss["n_valid_examples"]),
    }


CLASSIFICATION = Metrics(measure_classification, summed_ratios)
