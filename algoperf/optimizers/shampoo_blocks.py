"""How Shampoo sees an array: small axes merged, long ones cut into blocks."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Matrices of one axis each; None for an axis that is not preconditioned.
Sides = tuple[jax.Array | None, ...]


class Layout(NamedTuple):
    """How an array is cut.

    Attributes:
      shape: after merging.
      is_preconditioned: for each of its axes.
      blocks: index of every block.
    """

    shape: tuple[int, ...]
    is_preconditioned: tuple[bool, ...]
    blocks: tuple[tuple[slice, ...], ...]

    @property
    def root(self) -> int:
        """p of the inverse p-th roots: 2 for every axis that has one."""
        return 2 * sum(self.is_preconditioned)

    def sides(self) -> Iterator[list[int | None]]:
        """The side of every block along every axis; None if not preconditioned."""
        for block in self.blocks:
            yield [
                part.stop - part.start if yes else None
                for part, yes in zip(block, self.is_preconditioned, strict=True)
            ]


def layout(
    shape: tuple[int, ...], block_size: int, merge_up_to: int, max_dim: int
) -> Layout:
    """Merges axes, and cuts those that are to be preconditioned.

    Axes of length 0 or 1, and those longer than `max_dim`, have no preconditioner, and
    are not cut.
    """
    merged = merged_shape(shape, merge_up_to)
    chosen = tuple(1 < d <= max_dim for d in merged)
    cuts = [
        _cuts(d, block_size if yes else d)
        for d, yes in zip(merged, chosen, strict=True)
    ]
    return Layout(merged, chosen, tuple(itertools.product(*cuts)))


def merged_shape(shape: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """Neighbouring axes become one while their product is at most `limit`."""
    merged: list[int] = []
    for d in shape:
        if merged and merged[-1] * d <= limit:
            merged[-1] *= d
        elif d != 1 or not merged:
            merged.append(d)
    return tuple(merged)


def grams(array: jax.Array, is_preconditioned: tuple[bool, ...]) -> Sides:
    """G G^T [d, d] for every axis, the array seen as G [d = that axis, all others]."""
    sides: list[jax.Array | None] = []
    for axis, yes in enumerate(is_preconditioned):
        others = [other for other in range(array.ndim) if other != axis]
        sides.append(jnp.tensordot(array, array, (others, others)) if yes else None)
    return tuple(sides)


def transformed(array: jax.Array, sides: Sides) -> jax.Array:
    """The array times a symmetric matrix along every axis that has one."""
    for axis, side in enumerate(sides):
        if side is not None:
            array = jnp.moveaxis(jnp.tensordot(array, side, (axis, 0)), -1, axis)
    return array


def _cuts(size: int, block_size: int) -> list[slice]:
    starts = range(0, max(size, 1), max(block_size, 1))
    return [slice(start, min(start + block_size, size)) for start in starts]
