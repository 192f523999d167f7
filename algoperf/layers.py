"""Layers that every model may need and Flax does not offer in this form."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class Dropout(nn.Module):
    """Dropout whose rate may be given per call and may be a traced scalar.

    Keeps a unit with probability 1 - rate and scales it by 1 / (1 - rate)
    (Srivastava et al. 2014). Dimensions in `broadcast_dims` share their mask.
    `rate` and `deterministic` are given either here or in the call.
    """

    rate: Any = None
    broadcast_dims: Sequence[int] = ()
    deterministic: bool | None = None
    rng_collection: str = "dropout"

    @nn.compact
    def __call__(
        self,
        inputs: jax.Array,
        deterministic: bool | None = None,
        rate: Any = None,
        rng: jax.Array | None = None,
    ) -> jax.Array:
        """Drops units of `inputs` (any shape) unless `deterministic`."""
        deterministic = nn.merge_param(
            "deterministic", self.deterministic, deterministic
        )
        if deterministic:
            return inputs
        rate = self.rate if rate is None else rate
        if rate is None:
            raise ValueError("Dropout has no rate: give it to Dropout() or to the call")
        # In float32 whatever the inputs are: bfloat16 rounds a small rate away.
        keep = 1.0 - jnp.asarray(rate, jnp.float32)
        shape = list(inputs.shape)
        for axis in self.broadcast_dims:
            shape[axis] = 1
        key = self.make_rng(self.rng_collection) if rng is None else rng
        mask = jnp.broadcast_to(jax.random.bernoulli(key, keep, shape), inputs.shape)
        # At rate 1 nothing is kept; dividing by `keep` there would make NaN gradients.
        scale = jnp.where(keep > 0, 1.0 / jnp.where(keep > 0, keep, 1.0), 0.0)
        return jnp.where(
            mask, inputs * scale.astype(inputs.dtype), jnp.zeros_like(inputs)
        )
