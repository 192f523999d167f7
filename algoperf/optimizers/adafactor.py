"""Adafactor as AlgoPerf's baseline defines it (WORKLOADS 4.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.optimizers.per_leaf import needed, per_leaf

_EPS = 1e-30


class AdafactorSlot(NamedTuple):
    """The state of a parameter [..., n, m] (factored) or of one of rank 0 or 1.

    Attributes:
      row, column: means of the squared gradient over the last axis [..., n] and the
        last but one [..., m]; None if not factored.
      full: second moment in the parameter's shape; None if factored.
      momentum: int8 in the parameter's shape; float32 for a scalar.
      scale: what one unit of `momentum` is worth, the parameter's shape without its
        first axis; None for a scalar.
    """

    row: jax.Array | None
    column: jax.Array | None
    full: jax.Array | None
    momentum: jax.Array
    scale: jax.Array | None


def adafactor(
    learning_rate: optax.ScalarOrSchedule,
    b1: float,
    b2: float = 0.99,
    weight_decay: float = 0.0,
    clipping_threshold: float = 1.0,
) -> optax.GradientTransformation:
    """Adafactor (Shazeer & Stern 2018, algorithms 4 and 5) with quantised momentum.

    Second moments of g^2 + 1e-30 decay with b2 (1 - b2^t) / (1 - b2^(t + 1)), t from
    0 (section 7.1: Adam's bias correction within the decay), factored over the last
    two axes of whatever has two. The direction is clipped to a root mean square of
    `clipping_threshold` (section 6). Momentum averages learning rate x direction, is
    applied as computed, and is stored in 8 bits. The decay of weights is decoupled,
    learning rate x `weight_decay`; steps are not scaled by the parameters' size.
    Infinite means become nan, so that a diverged trial is seen to have diverged.

    Differs from `optax.adafactor` in decay rate, momentum, weight decay, and in
    factoring small axes too.
    """

    def rule(grad, slot, param, count):
        rate = learning_rate(count) if callable(learning_rate) else learning_rate
        decay = b2 * (1 - b2**count) / (1 - b2 ** (count + 1))
        direction, row, column, full = _normalised(grad, slot, decay)
        rms = _inf_to_nan(jnp.sqrt(_mean(jnp.square(direction))))
        direction = direction / jnp.maximum(1.0, rms / clipping_threshold)
        momentum = b1 * _dequantised(slot) + (1 - b1) * rate * direction
        momentum = _inf_to_nan(momentum)
        stored, scale = _quantised(momentum)
        update = -(momentum + rate * weight_decay * needed(param))
        return update, AdafactorSlot(row, column, full, stored, scale)

    return per_leaf(_init_slot, rule)


def _init_slot(path: str, param: jax.Array) -> AdafactorSlot:
    del path
    factored = param.ndim >= 2
    return AdafactorSlot(
        row=jnp.zeros(param.shape[:-1]) if factored else None,
        column=jnp.zeros(param.shape[:-2] + param.shape[-1:]) if factored else None,
        full=None if factored else jnp.zeros(param.shape),
        momentum=jnp.zeros(param.shape, jnp.int8 if param.ndim else jnp.float32),
        scale=jnp.zeros(param.shape[1:]) if param.ndim else None,
    )


def _normalised(grad: jax.Array, slot: AdafactorSlot, decay: jax.Array):
    """The gradient over the root of its second moment, and the moments after it."""
    squared = jnp.square(grad) + _EPS

    def averaged(old, new):
        return decay * old + (1 - decay) * _inf_to_nan(new)

    if slot.full is not None:
        full = averaged(slot.full, squared)
        return grad / jnp.sqrt(full), None, None, full
    row = averaged(slot.row, _mean(squared, axis=-1))
    column = averaged(slot.column, _mean(squared, axis=-2))
    # Algorithm 4: V = R C / mean(R). The roots are taken apart, for the product of
    # two small means would vanish in float32.
    row_share = row / _mean(row, axis=-1, keepdims=True)
    direction = (
        grad / jnp.sqrt(row_share)[..., :, None] / jnp.sqrt(column)[..., None, :]
    )
    return direction, row, column, None


def _quantised(momentum: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """127 steps from 0 to the largest value of each column (along the first axis)."""
    if momentum.ndim == 0:
        return momentum, None
    scale = jnp.max(jnp.abs(momentum), axis=0, initial=0.0) / 127
    # A column of zeros has no scale; a nan in it would make one of zeros.
    steps = momentum / jnp.where(scale == 0, 1.0, scale)[None]
    return jnp.round(jnp.nan_to_num(steps)).astype(jnp.int8), scale


def _dequantised(slot: AdafactorSlot) -> jax.Array:
    if slot.scale is None:
        return slot.momentum
    return slot.momentum * slot.scale[None]


def _mean(values: jax.Array, axis: int | None = None, keepdims: bool = False):
    """The mean, which is 0 of nothing."""
    count = values.size if axis is None else values.shape[axis]
    return jnp.sum(values, axis=axis, keepdims=keepdims) / max(count, 1)


def _inf_to_nan(values: jax.Array) -> jax.Array:
    return jnp.where(jnp.isinf(values), jnp.nan, values)
