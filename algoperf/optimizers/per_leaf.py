"""What update rules share that keep a slot of state for every parameter."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class PerLeafState(NamedTuple):
    """Updates done, and the tree of the parameters with a slot of state at each."""

    count: jax.Array
    slots: Any


def per_leaf(
    init_slot: Callable[..., Any], rule: Callable[..., Any]
) -> optax.GradientTransformation:
    """A transformation that treats every parameter by itself.

    Args:
      init_slot: parameter -> slot, any tree of arrays.
      rule: gradient, slot, parameter, updates done before -> update, slot.
    """

    def init(params: optax.Params) -> PerLeafState:
        return PerLeafState(jnp.zeros((), jnp.int32), jax.tree.map(init_slot, params))

    def update(updates, state, params=None):
        leaves, tree = jax.tree.flatten(updates)
        done = [
            rule(grad, slot, param, state.count)
            for grad, slot, param in zip(
                leaves,
                tree.flatten_up_to(state.slots),
                tree.flatten_up_to(needed(params)),
                strict=True,
            )
        ]
        updates = tree.unflatten([update for update, _ in done])
        slots = tree.unflatten([slot for _, slot in done])
        return updates, PerLeafState(state.count + 1, slots)

    return optax.GradientTransformation(init, update)


def needed(params: optax.Params | None) -> optax.Params:
    """The parameters, which must have been passed to `update`."""
    if params is None:
        raise ValueError("this optimizer needs update(updates, state, params)")
    return params


def rate_at(learning_rate: optax.ScalarOrSchedule, count: jax.Array) -> Any:
    """The learning rate after so many updates: a number, or what a schedule says."""
    return learning_rate(count) if callable(learning_rate) else learning_rate
