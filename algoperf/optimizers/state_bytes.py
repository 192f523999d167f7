"""The memory that the state of an optimizer takes."""

import math
from typing import Any

import jax


def state_bytes(state: Any) -> int:
    """Bytes of all arrays in a state, counted once however often they are replicated.

    Shapes will do: `state_bytes(jax.eval_shape(optimizer.init, params))` allocates
    nothing. Leaves that are no arrays count nothing.
    """
    return sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(state)
        if hasattr(leaf, "shape") and hasattr(leaf, "dtype")
    )


def state_bytes_per_parameter(state: Any, params: Any) -> float:
    """Bytes of a state for every element of the parameters (0 if there is none)."""
    elements = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    return state_bytes(state) / elements if elements else 0.0
