"""Normalisations whose scale is stored as its difference from 1.

Weight decay so pulls the factor towards 1, not towards 0.
"""

from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.spec import ParameterType


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016) with the factor 1 + `scale`."""

    parameter_types: ClassVar[Mapping[str, ParameterType]] = {
        "scale": ParameterType.LAYER_NORM_SCALE,
        "bias": ParameterType.LAYER_NORM_BIAS,
    }
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises the last axis of `x` (any shape)."""
        mean = jnp.mean(x, axis=-1, keepdims=True)
        var = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
        factor, bias = _factor_and_bias(self, x)
        return (x - mean) * jax.lax.rsqrt(var + self.epsilon) * factor + bias


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) over the valid frames of a batch.

    The factor is 1 + `scale`. Statistics are over the global batch: its examples are
    sharded under one `jit`. Padding comes out as 0. Running `mean` and biased `var`
    [feature] are in the collection `batch_stats`; their shape never changes, unlike in
    AlgoPerf's own code, where the first step makes it [1, 1, feature].
    """

    parameter_types: ClassVar[Mapping[str, ParameterType]] = {
        "scale": ParameterType.BATCH_NORM_SCALE,
        "bias": ParameterType.BATCH_NORM_BIAS,
    }
    momentum: float = 0.999
    epsilon: float = 1e-3

    @nn.compact
    def __call__(
        self, x: jax.Array, paddings: jax.Array, use_running_average: bool
    ) -> jax.Array:
        """Normalises [batch, frame, feature]; paddings [batch, frame] are 0 or 1.

        Without `use_running_average` it takes the batch's statistics and moves the
        running ones, unless there is not one valid frame.
        """
        features = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        valid = (1.0 - paddings)[..., None]
        if use_running_average:
            mean, var = running_mean.value, running_var.value
        else:
            count = jnp.sum(valid)
            divisor = jnp.maximum(count, 1.0)
            mean = jnp.sum(x * valid, axis=(0, 1)) / divisor
            centered = (x - mean[None, None]) * valid
            var = jnp.sum(jnp.square(centered), axis=(0, 1)) / divisor
            if not self.is_initializing():
                step = jnp.where(count > 0, 1.0 - self.momentum, 0.0)
                running_mean.value += step * (mean - running_mean.value)
                running_var.value += step * (var - running_var.value)
        factor, bias = _factor_and_bias(self, x)
        factor = factor * jax.lax.rsqrt(var + self.epsilon)[None, None]
        return ((x - mean[None, None]) * factor + bias) * valid


def _factor_and_bias(module: nn.Module, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """1 + `scale` and `bias`, of the rank of `x`."""
    shape = (1,) * (x.ndim - 1) + (-1,)
    zeros = nn.initializers.zeros
    scale = module.param("scale", zeros, (x.shape[-1],))
    bias = module.param("bias", zeros, (x.shape[-1],))
    return 1.0 + scale.reshape(shape), bias.reshape(shape)
