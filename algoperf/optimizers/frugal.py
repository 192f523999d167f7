"""FRUGAL: Adam on some columns of every matrix, signs of the gradient on the rest."""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.optimizers.per_leaf import per_leaf

# Modules that are the first or the last layer of a model, by name.
_END = re.compile(r"embed|output|logits|(^|_)head(_\d+)?$")


class FrugalSlot(NamedTuple):
    """Adam's moments of a parameter seen as a matrix [rows, columns], last axis last.

    Attributes:
      columns: indices [k] of the columns that have moments, ascending; None where all
        have them.
      mu, nu: moments [rows, k]; in the parameter's own shape where all have them.
    """

    columns: jax.Array | None
    mu: jax.Array
    nu: jax.Array


def vectors_and_ends(path: str, param: jax.Array) -> bool:
    """What FRUGAL leaves to Adam whatever its density, as in the paper's experiments.

    Vectors (little to save), embeddings and output layers, which are told by `embed`,
    `output` or `logits` in the name of a module (`decoder/output/kernel`), or by `head`
    as its last word (`lm_head`, but not `multi_head_attention`).
    """
    modules = path.lower().split("/")
    return param.ndim < 2 or any(_END.search(module) for module in modules)


def scale_by_frugal(
    density: float,
    update_gap: int,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    sign_scale: float = 1.0,
    full_state: Callable[[str, jax.Array], bool] = vectors_and_ends,
    seed: int = 0,
) -> optax.GradientTransformation:
    """The direction of FRUGAL (Zmushko et al. 2024, algorithm 1), column-wise.

    Every `update_gap` updates, ceil(`density` x columns) columns of every matrix are
    drawn anew and their moments begin at zero, with their bias correction. They follow
    Adam; the other columns are `sign_scale` x the sign of their gradient (signSGD) and
    have no state. A convolution kernel [h, w, in, out] is a matrix [h w in, out].

    Args:
      density: share of the columns that have state, 0 to 1. At 1 there is one subspace,
        nothing is ever reset, and this is Adam.
      full_state: path (`conv/kernel`) and parameter -> whether all of it follows Adam.
      seed: of the draws; equal seeds choose equal columns.
    """
    _check(density, update_gap)

    def init_slot(path, param):
        all_of_it = density == 1 or full_state(path, param)
        return _init_slot(param, None if all_of_it else density)

    def refresh(grads, slots, count):
        return jax.lax.cond(
            count % update_gap == 0,
            lambda: _drawn_anew(grads, slots, seed, count // update_gap),
            lambda: slots,
        )

    def rule(grad, slot, param, count):
        del param
        if slot.columns is None:
            return _adam(grad, slot, count + 1, b1, b2, eps)
        matrix = grad.reshape(_matrix_shape(grad.shape))
        age = count % update_gap + 1  # of the subspace, this update included
        part, new = _adam(matrix[:, slot.columns], slot, age, b1, b2, eps)
        direction = (sign_scale * jnp.sign(matrix)).at[:, slot.columns].set(part)
        return direction.reshape(grad.shape), new

    return per_leaf(init_slot, rule, refresh=refresh)


def frugal(
    learning_rate: optax.ScalarOrSchedule,
    density: float,
    update_gap: int,
    weight_decay: float = 0.0,
    **options: Any,
) -> optax.GradientTransformation:
    """FRUGAL with decoupled weight decay on every parameter, as in AdamW.

    `options` are those of `scale_by_frugal`.
    """
    return optax.chain(
        scale_by_frugal(density, update_gap, **options),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def _check(density: float, update_gap: int) -> None:
    if not 0 <= density <= 1 or update_gap < 1:
        raise ValueError(
            f"density is {density} and update_gap {update_gap}; FRUGAL needs a density "
            "from 0 to 1 and a gap of at least 1"
        )


def _matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    return math.prod(shape[:-1]), shape[-1] if shape else 1


def _init_slot(param: jax.Array, density: float | None) -> FrugalSlot:
    if density is None:
        return FrugalSlot(None, jnp.zeros(param.shape), jnp.zeros(param.shape))
    rows, columns = _matrix_shape(param.shape)
    chosen = math.ceil(density * columns)
    zeros = jnp.zeros((rows, chosen))
    # The first update draws the columns.
    return FrugalSlot(jnp.arange(chosen), zeros, jnp.array(zeros))


def _drawn_anew(grads, slots: list[FrugalSlot], seed: int, number: jax.Array):
    """Slots with the columns of a subspace by its number, and moments of zero."""
    key = jax.random.fold_in(jax.random.key(seed), number)
    drawn = []
    for leaf, (grad, slot) in enumerate(zip(grads, slots, strict=True)):
        if slot.columns is not None:
            columns = _matrix_shape(grad.shape)[1]
            order = jax.random.permutation(jax.random.fold_in(key, leaf), columns)
            chosen = jnp.sort(order[: slot.mu.shape[1]])
            slot = FrugalSlot(chosen, jnp.zeros_like(slot.mu), jnp.zeros_like(slot.nu))
        drawn.append(slot)
    return drawn


def _adam(grad, slot: FrugalSlot, t: jax.Array, b1: float, b2: float, eps: float):
    """Adam's direction (Kingma & Ba 2015, algorithm 1), and the slot after it."""
    mu = b1 * slot.mu + (1 - b1) * grad
    nu = b2 * slot.nu + (1 - b2) * jnp.square(grad)
    direction = mu / (1 - b1**t) / (jnp.sqrt(nu / (1 - b2**t)) + eps)
    return direction, FrugalSlot(slot.columns, mu, nu)
