"""Loss and metric of clicks."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf.losses import masked
from algoperf.metrics import Measurement, Metrics, summed_ratios
from algoperf.spec import Batch, ForwardPassMode, Workload


def click_cross_entropy(
    labels: jax.Array,
    logits: jax.Array,
    mask: jax.Array | None = None,
    label_smoothing: Any = 0.0,
) -> dict[str, jax.Array]:
    """Binary cross-entropy of each example.

    Args:
      labels: [batch], 0 or 1.
      logits: [batch, 1] or [batch].
      mask: [batch], 1 for real examples, 0 for padding.
      label_smoothing: ignored, as in AlgoPerf.
    """
    del label_smoothing
    logits = logits.reshape(labels.shape)
    if mask is not None:
        # Masking the loss alone would let NaN in padding into the gradient.
        logits = jnp.where(mask > 0, logits, 0.0)
        labels = jnp.where(mask > 0, labels, 0.0)
    return masked(optax.sigmoid_binary_cross_entropy(logits, labels), mask)


def measure_clicks(
    workload: Workload, params: Any, model_state: Any, batch: Batch, rng: jax.Array
) -> Measurement:
    """The loss over the examples of a batch whose weight is not zero.

    `batch` has `inputs` [batch, 39], `targets` and `weights` [batch]. The sum over a
    batch is in float32, that over batches in float64: over 131,072 examples XLA's sum
    is within 1e-6 of the exact one.
    """
    logits, _ = workload.model_fn(
        params, batch, model_state, ForwardPassMode.EVAL, rng, update_batch_norm=False
    )
    loss = workload.loss_fn(batch["targets"], logits, batch["weights"])
    return {"loss": (loss["summed"], loss["n_valid_examples"])}


CLICKS = Metrics(measure_clicks, summed_ratios)
