"""SpecAugment (Park et al. 2019): features are masked in time and in frequency."""

import jax
import jax.numpy as jnp
from flax import linen as nn

_TIME_MAX_RATIO = 0.05  # of the valid frames, per mask
_FREQUENCY_MAX_BINS = 27


class SpecAugment(nn.Module):
    """Sets random stripes of features to 0, each utterance's own.

    Time masks are at most 5 % of the valid frames long, frequency masks 27 bins.
    Random keys are of the `dropout` collection.
    """

    time_mask_count: int = 10
    freq_mask_count: int = 2

    @nn.compact
    def __call__(self, features: jax.Array, paddings: jax.Array) -> jax.Array:
        """Features [batch, frame, bin] with stripes; paddings [batch, frame]."""
        # In this order: time lengths and starts, frequency lengths and starts.
        keys = [self.make_rng("dropout") for _ in range(4)]
        batch, frames, bins = features.shape
        valid_frames = jnp.sum(1.0 - paddings, axis=1).astype(jnp.int32)
        shape = (batch, self.time_mask_count)
        u, v = (jax.random.uniform(key, shape) for key in keys[:2])
        in_time = stripes(*time_masks(u, v, valid_frames), frames)
        shape = (batch, self.freq_mask_count)
        u, v = (jax.random.uniform(key, shape) for key in keys[2:])
        in_frequency = stripes(*frequency_masks(u, v, bins), bins)
        masked = in_time[:, :, None] | in_frequency[:, None, :]
        return jnp.where(masked, 0.0, features)


def time_masks(
    u: jax.Array, v: jax.Array, valid_frames: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(starts, lengths), int32 [batch, mask], of masks in time.

    Args:
      u: uniform in [0, 1), [batch, mask]; decides the lengths.
      v: the same; decides the starts. A mask lies within the valid frames.
      valid_frames: int32 [batch].
    """
    valid_frames = valid_frames[:, None]
    longest = valid_frames.astype(jnp.float32) * _TIME_MAX_RATIO
    bound = jnp.maximum(longest.astype(jnp.int32), 1)
    lengths = jnp.minimum((longest * u).astype(jnp.int32), bound)
    starts = (v * (valid_frames - lengths + 1)).astype(jnp.int32)
    return starts, lengths


def frequency_masks(
    u: jax.Array, v: jax.Array, bins: int
) -> tuple[jax.Array, jax.Array]:
    """(starts, lengths), int32 [batch, mask], of masks in frequency.

    `u` and `v` are uniform in [0, 1), [batch, mask], as for `time_masks`. With fewer
    than 27 bins a mask is never longer than all of them.
    """
    lengths = jnp.minimum((u * _FREQUENCY_MAX_BINS).astype(jnp.int32), bins)
    starts = (v * (bins - lengths + 1)).astype(jnp.int32)
    return starts, lengths


def stripes(starts: jax.Array, lengths: jax.Array, size: int) -> jax.Array:
    """Whether any mask [batch, mask] covers a position: bool [batch, size]."""
    positions = jnp.arange(size)[None, None]
    starts, lengths = starts[..., None], lengths[..., None]
    covered = (positions >= starts) & (positions < starts + lengths)
    return jnp.any(covered, axis=1)
