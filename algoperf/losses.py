"""Losses per example, and the one place that applies a mask to them."""

from typing import Any

import jax
import jax.numpy as jnp


def masked(per_example: jax.Array, mask: jax.Array | None) -> dict[str, jax.Array]:
    """AlgoPerf's loss dictionary of losses that `mask` (same shape) weighs.

    Returns:
      `summed` and `n_valid_examples` (scalars) and `per_example` (masked).
    """
    if mask is None:
        count = jnp.asarray(per_example.size, jnp.float32)
    else:
        # `where`, not a product: padding may hold NaN, and NaN x 0 is NaN.
        per_example = jnp.where(mask > 0, per_example * mask, 0.0)
        count = mask.sum()
    return {
        "summed": per_example.sum(),
        "n_valid_examples": count,
        "per_example": per_example,
    }


def softmax_cross_entropy(
    labels: jax.Array,
    logits: jax.Array,
    mask: jax.Array | None = None,
    label_smoothing: Any = 0.0,
) -> dict[str, jax.Array]:
    """Cross-entropy of integer labels, with label smoothing (Szegedy et al. 2016).

    Args:
      labels: integers [..., ] or distributions over classes [..., class].
      logits: [..., class].
      mask: [...], 1 for real examples, 0 for padding.
      label_smoothing: share spread evenly over all classes; may be traced.
    """
    if mask is not None:
        # Masking the loss alone would let NaN in padding into the gradient.
        logits = jnp.where(mask[..., None] > 0, logits, 0.0)
    # Of the highest logit, so that large ones lose no digits.
    logits = logits - jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True))
    norm = jnp.log(jnp.sum(jnp.exp(logits), axis=-1))
    if labels.ndim < logits.ndim:
        # Looked up: one-hot rows of a large vocabulary take time.
        labelled = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
        total = 1.0
    else:
        labelled = jnp.sum(labels * logits, axis=-1)
        total = jnp.sum(labels, axis=-1)
    by_label = total * norm - labelled
    per_example = (1.0 - label_smoothing) * by_label + label_smoothing * (
        norm - jnp.mean(logits, axis=-1)
    )
    return masked(per_example, mask)
