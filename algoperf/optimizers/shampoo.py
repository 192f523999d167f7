"""Distributed Shampoo, the algorithm that AlgoPerf's baseline intends.

The baseline's `skip_preconditioning_dim_size_gt` stays 0, so it preconditions nothing
and is Nesterov momentum of its grafting direction (WORKLOADS 10, item 1). This one does
precondition; it is not comparable with logs of the baseline.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.optimizers.matrix_roots import inverse_roots
from algoperf.optimizers.per_leaf import needed, per_leaf
from algoperf.optimizers.shampoo_blocks import (
    Layout,
    Sides,
    grams,
    layout,
    transformed,
)

_TINY = 1e-16  # keeps a norm of 0 from dividing


class ShampooSlot(NamedTuple):
    """The state of a parameter.

    Attributes:
      second: of the normalised gradient, for grafting, in the parameter's shape.
      momentum: of the update, in the parameter's shape.
      statistics: for every block, averages of G G^T [d, d] for every axis.
      roots: their inverse p-th roots, as of the last time they were computed.
    """

    second: jax.Array
    momentum: jax.Array
    statistics: tuple[Sides, ...]
    roots: tuple[Sides, ...]


class ShampooOptions(NamedTuple):
    """What AlgoPerf's baseline fixes.

    Attributes:
      block_size: side of the largest matrix. Longer axes are cut, blocks precondition
        each its own part.
      merge_up_to: neighbouring axes are merged while their product is not above it.
        A small matrix so becomes one vector with all its correlations.
      max_dim: an axis longer than this (a vocabulary) is neither cut nor
        preconditioned: the other axes are, with the root of their number.
      start: updates before the first preconditioned one.
      every_steps: updates between computations of the roots.
      matrix_eps: added to the statistics, as a share of their largest eigenvalue.
      graft_eps: outside the root in the grafting direction.
    """

    block_size: int = 1024
    merge_up_to: int = 4096
    max_dim: int = 4096
    start: int = 101
    every_steps: int = 20
    matrix_eps: float = 1e-6
    graft_eps: float = 1e-8


def shampoo(
    learning_rate: optax.ScalarOrSchedule,
    b1: float,
    b2: float,
    weight_decay: float = 0.0,
    options: ShampooOptions | None = None,
) -> optax.GradientTransformation:
    """Distributed Shampoo (Gupta et al. 2018; Anil et al. 2020; Shi et al. 2023).

    The statistics of every block G of a gradient are averages (b2) of G G^T for each
    of its k axes; its preconditioned gradient is G times their inverse 2k-th roots
    along all axes (Gupta et al., algorithm 2). The direction of a tensor has that
    direction and the norm of its grafting direction (Anil et al., section 3.2), here
    RMSProp of g / norm(g), which alone is used before update `start`. Then come
    coupled weight decay, b1 m + (1 - b1) u for momentum, Nesterov's step ahead, and
    the learning rate.

    Roots are computed at update `start`, counted from 0, and every `every_steps` from
    there, in a `lax.cond`. Every device computes all of them.

    There is one momentum, where the reference keeps a second one for the grafting
    direction; they differ only in the first updates after `start`.
    """
    chosen = options or ShampooOptions()
    return optax.chain(
        scale_by_shampoo(b1, b2, weight_decay, chosen),
        optax.scale_by_learning_rate(learning_rate),
    )


def scale_by_shampoo(
    b1: float, b2: float, weight_decay: float, options: ShampooOptions
) -> optax.GradientTransformation:
    """`shampoo` before the learning rate."""

    def init_slot(path, param):
        del path
        plan = _layout(param, options)
        return ShampooSlot(
            second=jnp.zeros(param.shape),
            momentum=jnp.zeros(param.shape),
            statistics=_matrices(plan, lambda d: jnp.zeros((d, d))),
            roots=_matrices(plan, jnp.eye),
        )

    def observe(grad, slot):
        plan = _layout(grad, options)
        merged = grad.reshape(plan.shape)
        statistics = tuple(
            jax.tree.map(
                lambda old, new: b2 * old + (1 - b2) * new,
                sides,
                grams(merged[block], plan.is_preconditioned),
            )
            for block, sides in zip(plan.blocks, slot.statistics, strict=True)
        )
        return slot._replace(statistics=statistics)

    def refresh(grads, slots, count):
        age = count - options.start
        roots = jax.lax.cond(
            (age >= 0) & (age % options.every_steps == 0),
            lambda: _roots(grads, slots, options),
            lambda: [slot.roots for slot in slots],
        )
        return [s._replace(roots=r) for s, r in zip(slots, roots, strict=True)]

    def rule(grad, slot, param, count):
        graft, second = _grafting(grad, slot.second, b2, options.graft_eps)
        preconditioned = _preconditioned(grad, graft, slot.roots, options)
        update = jnp.where(count >= options.start, preconditioned, graft)
        update = update + weight_decay * needed(param)
        momentum = b1 * slot.momentum + (1 - b1) * update
        nesterov = b1 * momentum + (1 - b1) * update
        return nesterov, slot._replace(second=second, momentum=momentum)

    return per_leaf(init_slot, rule, observe=observe, refresh=refresh)


def _layout(array: jax.Array, options: ShampooOptions) -> Layout:
    return layout(array.shape, options.block_size, options.merge_up_to, options.max_dim)


def _matrices(plan: Layout, make) -> tuple[Sides, ...]:
    """A matrix for every block and axis, made of its side."""
    return tuple(
        tuple(None if d is None else make(d) for d in sides) for sides in plan.sides()
    )


def _roots(grads, slots: list[ShampooSlot], options: ShampooOptions):
    """The inverse roots of all statistics, in the tree that they are in."""
    matrices, tree = jax.tree.flatten([slot.statistics for slot in slots])
    roots = [
        _layout(grad, options).root
        for grad, slot in zip(grads, slots, strict=True)
        for _ in jax.tree.leaves(slot.statistics)
    ]
    before = tree.flatten_up_to([slot.roots for slot in slots])
    return tree.unflatten(inverse_roots(matrices, before, roots, options.matrix_eps))


def _grafting(grad: jax.Array, second: jax.Array, b2: float, eps: float):
    """RMSProp's direction for the gradient over its norm, and the second moment."""
    normalised = grad / (_norm(grad) + _TINY)
    second = b2 * second + (1 - b2) * jnp.square(normalised)
    return normalised / (jnp.sqrt(second) + eps), second


def _preconditioned(
    grad: jax.Array,
    graft: jax.Array,
    roots: tuple[Sides, ...],
    options: ShampooOptions,
) -> jax.Array:
    """The preconditioned gradient with the norm of the grafting direction."""
    plan = _layout(grad, options)
    if not plan.root:
        return graft
    array = grad.reshape(plan.shape)
    for block, sides in zip(plan.blocks, roots, strict=True):
        array = array.at[block].set(transformed(array[block], sides))
    return array.reshape(grad.shape) * (_norm(graft) / (_norm(array) + _TINY))


def _norm(array: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(array)))
