"""Cross-entropy of token logits, in float32 without an array of float32 logits."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf import losses


def token_cross_entropy(
    labels: jax.Array,
    logits: jax.Array,
    mask: jax.Array | None = None,
    label_smoothing: Any = 0.0,
) -> dict[str, jax.Array]:
    """Cross-entropy of every token, with label smoothing (Szegedy et al. 2016).

    Equal to `losses.softmax_cross_entropy` of the logits in float32, and so is its
    gradient, rounded to the logits' type. Logits of a large vocabulary are most of the
    memory of a step, so those in bfloat16 are not turned into an array of float32: each
    pass over them is one reduction, or one elementwise map, with the conversion inside.

    Args:
      labels: integers [batch, token], or distributions [batch, token, class].
      logits: [batch, token, class].
      mask: [batch, token] or [batch]; 1 for what is real, 0 for padding.
      label_smoothing: share spread evenly over all classes; may be traced.

    Returns:
      `summed` and `n_valid_examples` (float32 scalars; tokens count as examples), and
      `per_example` [batch, token].
    """
    if mask is not None:
        mask = mask.reshape(mask.shape + (1,) * (logits.ndim - 1 - mask.ndim))
        mask = jnp.broadcast_to(mask, logits.shape[:-1])
    if labels.ndim == logits.ndim:
        logits = logits.astype(jnp.float32)
        return losses.softmax_cross_entropy(labels, logits, mask, label_smoothing)
    if mask is not None:
        # Masking the loss alone would let NaN in padding into the gradient.
        logits = jnp.where(mask[..., None] > 0, logits, jnp.zeros((), logits.dtype))
    smooths = not (isinstance(label_smoothing, int | float) and label_smoothing == 0)
    smoothing = jnp.asarray(label_smoothing, jnp.float32)
    find = _plain if logits.dtype == jnp.float32 else _cross_entropy
    return losses.masked(find(smooths, labels, logits, smoothing), mask)


def _plain(
    smooths: bool, labels: jax.Array, logits: jax.Array, smoothing: jax.Array
) -> jax.Array:
    """The same of float32 logits: there is nothing to convert, and the gradient that
    JAX derives takes half the exponentials."""
    of_label = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    target = of_label
    if smooths:
        target = (1.0 - smoothing) * of_label + smoothing * jnp.mean(logits, axis=-1)
    return jax.nn.logsumexp(logits, axis=-1) - target


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _cross_entropy(
    smooths: bool, labels: jax.Array, logits: jax.Array, smoothing: jax.Array
) -> jax.Array:
    """float32 [batch, token]; the mean over classes is only found if it `smooths`."""
    return _forward(smooths, labels, logits, smoothing)[0]


def _forward(smooths, labels, logits, smoothing):
    # The largest logit is exact in any type. Its own conversion of the logits for each
    # pass over them: XLA keeps in memory what several passes share.
    largest = jnp.max(logits, axis=-1).astype(jnp.float32)
    shifted = logits.astype(jnp.float32) - largest[..., None]
    log_partition = largest + jnp.log(jnp.sum(jnp.exp(shifted), axis=-1))
    of_label = _chosen(logits, labels).astype(jnp.float32)
    mean = of_label
    if smooths:
        again = _for_another_pass(logits, log_partition)
        mean = jnp.mean(again, axis=-1, dtype=jnp.float32)
    target = (1.0 - smoothing) * of_label + smoothing * mean if smooths else of_label
    kept = labels, logits, smoothing, log_partition, of_label - mean
    return log_partition - target, kept


def _backward(smooths, kept, cotangent):
    labels, logits, smoothing, log_partition, over_mean = kept
    wide = _for_another_pass(logits, cotangent).astype(jnp.float32)
    classes = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1)
    target = jnp.where(classes == labels[..., None], 1.0 - smoothing, 0.0)
    if smooths:
        target += smoothing / logits.shape[-1]
    probabilities = jnp.exp(wide - log_partition[..., None])
    gradient = (probabilities - target) * cotangent[..., None]
    return (
        np.zeros(labels.shape, jax.dtypes.float0),
        gradient.astype(logits.dtype),
        jnp.sum(cotangent * over_mean),
    )


_cross_entropy.defvjp(_forward, _backward)


def _for_another_pass(logits: jax.Array, of_this_pass: jax.Array) -> jax.Array:
    """The same logits, of which XLA does not see that they are the same."""
    return jax.lax.optimization_barrier((logits, of_this_pass))[0]


def _chosen(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The logits [batch, token] of the labels."""
    # As integers: where there is no bfloat16 (CPUs), XLA would convert all of them.
    bits = jnp.dtype(f"uint{8 * logits.dtype.itemsize}")
    whole = jax.lax.bitcast_convert_type(logits, bits)
    found = jnp.take_along_axis(whole, labels[..., None], axis=-1)[..., 0]
    return jax.lax.bitcast_convert_type(found, logits.dtype)
