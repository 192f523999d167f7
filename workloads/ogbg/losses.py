"""Loss and metrics of graphs with many binary labels, some of which are missing."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from algoperf.losses import masked
from algoperf.metrics import Measurement, Metrics, summed_ratios
from algoperf.spec import Batch, ForwardPassMode, Workload
from workloads.ogbg.mean_average_precision import mean_average_precision


def label_cross_entropy(
    labels: jax.Array,
    logits: jax.Array,
    mask: jax.Array | None = None,
    label_smoothing: Any = 0.0,
) -> dict[str, jax.Array]:
    """Binary cross-entropy of every label; `n_valid_examples` counts labels.

    Args:
      labels: [graph, label], 0 or 1; NaN is missing and counts for nothing.
      logits: [graph, label].
      mask: [graph, label], 1 for labels that count.
      label_smoothing: share spread evenly over all labels, as if they were classes
        of one distribution: that is how AlgoPerf smooths here. May be traced.
    """
    known = ~jnp.isnan(labels)
    mask = known.astype(logits.dtype) if mask is None else jnp.where(known, mask, 0.0)
    labels = jnp.where(mask > 0, labels, 0.0)
    # Masking the loss alone would let NaN in padding into the gradient.
    logits = jnp.where(mask > 0, logits, 0.0)
    smoothed = (1.0 - label_smoothing) * labels + label_smoothing / labels.shape[-1]
    return masked(optax.sigmoid_binary_cross_entropy(logits, smoothed), mask)


def measure_labels(
    workload: Workload, params: Any, model_state: Any, batch: Batch, rng: jax.Array
) -> Measurement:
    """Sums over the labels of a batch whose weight is not zero, and all scores.

    `batch` has `targets` and `weights` [graph, label].
    """
    logits, _ = workload.model_fn(
        params, batch, model_state, ForwardPassMode.EVAL, rng, update_batch_norm=False
    )
    labels, weights = batch["targets"], batch["weights"]
    loss = workload.loss_fn(labels, logits, weights)
    correct = (logits > 0) == (labels > 0)
    counts = loss["n_valid_examples"]
    return {
        "sums": {
            "accuracy": (jnp.sum(correct * weights), counts),
            "loss": (loss["summed"], counts),
        },
        "scores": jax.nn.sigmoid(logits),
        "labels": labels > 0,
        "valid": weights > 0,
    }


def summarize_labels(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Accuracy and loss per label, and the mean average precision over tasks."""
    values = summed_ratios([part["sums"] for part in measurements])
    scores, labels, valid = (
        np.concatenate([part[name] for part in measurements])
        for name in ("scores", "labels", "valid")
    )
    return values | {
        "mean_average_precision": mean_average_precision(scores, labels, valid)
    }


GRAPH_LABELS = Metrics(measure_labels, summarize_labels)
