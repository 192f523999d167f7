"""What is done to a batch of images on the device."""

import jax
import jax.numpy as jnp

# Of red, green and blue in 0 ... 255, over ImageNet's training images.
MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
STDDEV = (0.229 * 255, 0.224 * 255, 0.225 * 255)

MIXUP_ALPHA = 0.2


def normalise(
    images: jax.Array,
    mean: tuple[float, ...] = MEAN,
    stddev: tuple[float, ...] = STDDEV,
) -> jax.Array:
    """(image - mean) / stddev in each channel: uint8 to float32 [..., channels]."""
    shape = (1,) * (images.ndim - 1) + (len(mean),)
    centre = jnp.asarray(mean, jnp.float32).reshape(shape)
    scale = jnp.asarray(stddev, jnp.float32).reshape(shape)
    return (images.astype(jnp.float32) - centre) / scale


def mixup_weight(key: jax.Array, alpha: float = MIXUP_ALPHA) -> jax.Array:
    """A weight from Beta(alpha, alpha), float32 [].

    Two gammas over their sum. Gammas of small alpha vanish in float32, so the ratio is
    taken of their logarithms.
    """
    first, second = jax.random.loggamma(key, alpha, (2,))
    return jax.nn.sigmoid(first - second)


def mixup(
    inputs: jax.Array, labels: jax.Array, key: jax.Array, num_classes: int = 1000
) -> tuple[jax.Array, jax.Array]:
    """Mixes each example with the one before it (Zhang et al. 2018, "mixup").

    One weight from Beta(0.2, 0.2) serves the whole batch; the first example is mixed
    with the last one.

    Args:
      inputs: float32 [batch, ...].
      labels: int [batch].
      key: of this batch.
      num_classes: length of a target.

    Returns:
      Mixed inputs, float32 [batch, ...], and targets, float32 [batch, num_classes].
    """
    weight = mixup_weight(key)
    targets = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    return _mix(inputs, weight), _mix(targets, weight)


def _mix(values: jax.Array, weight: jax.Array) -> jax.Array:
    return weight * values + (1 - weight) * jnp.roll(values, 1, axis=0)
