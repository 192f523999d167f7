"""Averages of parameters over a run, kept by the optimizer for use in evaluation.

Both wrap a transformation whose updates are added to the parameters (its learning rate
included), and change nothing about the training: they apply the updates to the
parameters they are given and average what comes out.
"""

import math
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from algoperf.optimizers.per_leaf import needed

State = TypeVar("State")


class EmaState(NamedTuple):
    """The wrapped state, averaged updates, and the average (shapes of the params)."""

    inner: optax.OptState
    count: jax.Array
    average: optax.Params


class LawaState(NamedTuple):
    """The wrapped state, counts of updates and snapshots, [window, *shape] a param."""

    inner: optax.OptState
    count: jax.Array
    taken: jax.Array
    snapshots: optax.Params


def with_ema(
    transformation: optax.GradientTransformation, decay: float
) -> optax.GradientTransformationExtraArgs:
    """Keeps the exponential moving average of the parameters after every update.

    The average is debiased as Adam's moments are (Kingma & Ba 2015, section 3): after
    t updates, parameters of update i weigh decay^(t - i) (1 - decay) / (1 - decay^t),
    which sums to 1 over i = 1..t, so those of the initialisation weigh nothing. It is
    kept debiased, a_t = a_(t - 1) + (1 - decay) / (1 - decay^t) (p_t - a_(t - 1)):
    then it is the parameters themselves before the first update, and needs no division
    to be read.

    Raises:
      ValueError: `decay` is not in [0, 1).
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay is {decay}; a moving average needs 0 <= decay < 1")
    inner = optax.with_extra_args_support(transformation)

    def init(params):
        average = jax.tree.map(jnp.array, params)  # copies: params may be donated
        return EmaState(inner.init(params), jnp.zeros((), jnp.int32), average)

    def update(updates, state, params=None, **extra):
        updates, inner_state = inner.update(updates, state.inner, params, **extra)
        count = state.count + 1
        share = _share_of_newest(decay, count)
        average = jax.tree.map(
            lambda a, p: a + share.astype(a.dtype) * (p - a),
            state.average,
            optax.apply_updates(needed(params), updates),
        )
        return updates, EmaState(inner_state, count, average)

    return optax.GradientTransformationExtraArgs(init, update)


def ema_params(state: optax.OptState) -> optax.Params:
    """The debiased average that `with_ema` kept, anywhere in an optimizer state."""
    return _find(state, EmaState).average


def with_lawa(
    transformation: optax.GradientTransformation, every_steps: int, window: int
) -> optax.GradientTransformationExtraArgs:
    """Keeps the parameters of the last `window` of every `every_steps` updates.

    Their mean is LAWA, latest weight averaging (Kaddour 2022, equation 1). The
    snapshots are a ring: shapes never change, and a step that takes none copies none.

    Raises:
      ValueError: `every_steps` or `window` is below 1.
    """
    if every_steps < 1 or window < 1:
        raise ValueError(
            f"every_steps is {every_steps} and window {window}; LAWA needs at least 1"
        )
    inner = optax.with_extra_args_support(transformation)

    def init(params):
        snapshots = jax.tree.map(lambda p: jnp.zeros((window, *p.shape)), params)
        zero = jnp.zeros((), jnp.int32)
        return LawaState(inner.init(params), zero, jnp.array(zero), snapshots)

    def update(updates, state, params=None, **extra):
        updates, inner_state = inner.update(updates, state.inner, params, **extra)
        count = state.count + 1
        slot = state.taken % window
        is_due = count % every_steps == 0
        snapshots = jax.lax.cond(
            is_due,
            lambda kept, new: jax.tree.map(lambda k, p: k.at[slot].set(p), kept, new),
            lambda kept, new: kept,
            state.snapshots,
            optax.apply_updates(needed(params), updates),
        )
        taken = state.taken + is_due.astype(jnp.int32)
        return updates, LawaState(inner_state, count, taken, snapshots)

    return optax.GradientTransformationExtraArgs(init, update)


def lawa_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The mean of the snapshots of `with_lawa`, anywhere in an optimizer state.

    Of those there are, while the window fills; before the first, `params`.
    """
    lawa = _find(state, LawaState)

    def mean(p, kept):
        filled = jnp.clip(lawa.taken, 1, kept.shape[0]).astype(kept.dtype)
        return jnp.where(lawa.taken == 0, p, kept.sum(axis=0) / filled)

    return jax.tree.map(mean, params, lawa.snapshots)


def _share_of_newest(decay: float, count: jax.Array) -> jax.Array:
    """(1 - decay) / (1 - decay^count), without cancellation in float32."""
    if decay == 0:
        return jnp.ones(())
    return (1 - decay) / -jnp.expm1(count * math.log(decay))


def _find(state: optax.OptState, kind: type[State]) -> State:
    """The one state of a kind in an optimizer state."""

    def is_kind(node: Any) -> bool:
        return isinstance(node, kind)

    found = [node for node in jax.tree.leaves(state, is_leaf=is_kind) if is_kind(node)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} {kind.__name__} in this state; needed is one")
    return found[0]
