"""Layers that every model may need and Flax does not offer in this form."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class Dropout(nn.Module):
    """Dropout whose rate is an argument and may be a traced scalar.

    Keeps a unit with probability 1 - rate and scales it by 1 / (1 - rate)
    (Srivastava et al. 2014). Dimensions in `broadcast_dims` share their mask.
    """

    broadcast_dims: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, inputs: jax.Array, *, rate: Any, deterministic: bool):
        """Drops units of `inputs` (any shape) unless `deterministic`."""
        if deterministic:
            return inputs
        keep = 1.0 - jnp.asarray(rate, inputs.dtype)
        shape = [
            1 if axis in self.broadcast_dims else size
            for axis, size in enumerate(inputs.shape)
        ]
        mask = jax.random.bernoulli(self.make_rng("dropout"), keep, shape)
        # At rate 1 nothing is kept; dividing by `keep` there would make NaN gradients.
        scale = jnp.where(keep > 0, 1.0 / jnp.where(keep > 0, keep, 1.0), 0.0)
        return jnp.where(mask, inputs * scale, jnp.zeros_like(inputs))
