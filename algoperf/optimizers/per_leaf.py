"""What update rules share that keep a slot of state for every parameter."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

Params = TypeVar("Params")


class PerLeafState(NamedTuple):
    """Updates done, and the tree of the parameters with a slot of state at each."""

    count: jax.Array
    slots: Any


class At(NamedTuple):
    """Updates done before this one, and the number of a parameter in its tree."""

    count: jax.Array
    leaf: int


def per_leaf(
    init_slot: Callable[[str, jax.Array], Any], rule: Callable[..., Any]
) -> optax.GradientTransformation:
    """A transformation that treats every parameter by itself.

    Args:
      init_slot: path (`conv/kernel`) and parameter -> slot, any tree of arrays.
      rule: gradient, slot, parameter (None if `update` was not given any), `At` ->
        update and slot.
    """

    def init(params: optax.Params) -> PerLeafState:
        slots = jax.tree_util.tree_map_with_path(
            lambda path, param: init_slot(
                jax.tree_util.keystr(path, simple=True, separator="/"), param
            ),
            params,
        )
        return PerLeafState(jnp.zeros((), jnp.int32), slots)

    def update(updates, state, params=None):
        grads, tree = jax.tree.flatten(updates)
        slots = tree.flatten_up_to(state.slots)
        parameters = (
            tree.flatten_up_to(params) if params is not None else [None] * len(grads)
        )
        done = [
            rule(grad, slot, param, At(state.count, leaf))
            for leaf, (grad, slot, param) in enumerate(
                zip(grads, slots, parameters, strict=True)
            )
        ]
        updates = tree.unflatten([update for update, _ in done])
        slots = tree.unflatten([slot for _, slot in done])
        return updates, PerLeafState(state.count + 1, slots)

    return optax.GradientTransformation(init, update)


def needed(params: Params | None) -> Params:
    """The parameters, which must have been passed to `update`."""
    if params is None:
        raise ValueError("this optimizer needs update(updates, state, params)")
    return params
