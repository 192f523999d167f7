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


def per_leaf(
    init_slot: Callable[[str, jax.Array], Any],
    rule: Callable[..., Any],
    *,
    observe: Callable[[jax.Array, Any], Any] | None = None,
    refresh: Callable[[list[jax.Array], list[Any], jax.Array], list[Any]] | None = None,
) -> optax.GradientTransformation:
    """A transformation that treats every parameter by itself.

    Args:
      init_slot: path (`conv/kernel`) and parameter -> slot, any tree of arrays.
      rule: gradient, slot, parameter (None if `update` was not given any), updates
        done before -> update and slot.
      observe: gradient and slot -> slot, before anything else.
      refresh: all gradients, all slots, updates done before -> all slots, before the
        rule. What is done now and then belongs here, in one `lax.cond` for all: a GPU
        waits for the host at each.
    """

    def init(params: optax.Params) -> PerLeafState:
        def slot(path, param):
            return init_slot(
                jax.tree_util.keystr(path, simple=True, separator="/"), param
            )

        slots = jax.tree_util.tree_map_with_path(slot, params)
        return PerLeafState(jnp.zeros((), jnp.int32), slots)

    def update(updates, state, params=None):
        grads, tree = jax.tree.flatten(updates)
        slots = tree.flatten_up_to(state.slots)
        nothing = [None] * len(grads)
        parameters = nothing if params is None else tree.flatten_up_to(params)
        if observe is not None:
            slots = [observe(*both) for both in zip(grads, slots, strict=True)]
        if refresh is not None:
            slots = refresh(grads, slots, state.count)
        done = [
            rule(grad, slot, param, state.count)
            for grad, slot, param in zip(grads, slots, parameters, strict=True)
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
