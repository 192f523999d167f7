"""SOAP: Adam in the eigenbasis of Shampoo's statistics."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.optimizers.per_leaf import per_leaf

# Matrices of one axis each; None for an axis that is not rotated.
Sides = tuple[jax.Array | None, ...]
# What a new basis changes: the second moment and the bases of every parameter.
Changing = list[tuple[jax.Array, Sides]]


class SoapSlot(NamedTuple):
    """The state of a parameter [d_1, ..., d_r].

    Attributes:
      mu: first moment of the gradient, in the parameter's own axes.
      nu: second moment of the rotated gradient, in the parameter's shape.
      statistics: averages of G G^T [d_i, d_i] over all but axis i.
      bases: their (approximate) eigenvectors [d_i, d_i], as columns.
    """

    mu: jax.Array
    nu: jax.Array
    statistics: Sides
    bases: Sides


def scale_by_soap(
    b1: float = 0.95,
    b2: float = 0.95,
    shampoo_b: float | None = None,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10_000,
) -> optax.GradientTransformation:
    """SOAP's direction (Vyas et al. 2024, algorithm 3).

    Rotate the gradient and Adam's first moment into the eigenbases of the averages L
    and R of G G^T and G^T G, take Adam's step there, rotate it back. Every
    `precondition_frequency` updates the bases take one step of power iteration and a
    QR decomposition (algorithm 4), with their columns in the order of their Rayleigh
    quotients.

    The first gradient only begins the statistics and, by an eigendecomposition, the
    bases: its update is zero, for every parameter, and Adam counts from the second.

    An array of more than two axes is rotated along each of them, as in the authors'
    code, not merged to a matrix. An axis longer than `max_precond_dim` or of length 1
    is not rotated, nor is a vector: with none rotated this is Adam.

    Args:
      shampoo_b: decay of the statistics; `b2` where it is None, as in the paper.
    """
    decay = b2 if shampoo_b is None else shampoo_b

    def refresh(grads, slots, count):
        del grads
        return _with_new_bases(slots, count, precondition_frequency)

    def rule(grad, slot, param, count):
        del param
        direction, mu, nu = _adam(grad, slot, count, b1, b2, eps)
        # The first gradient is in neither moment: it chooses the basis.
        is_first = count == 0
        mu, nu = jnp.where(is_first, slot.mu, mu), jnp.where(is_first, slot.nu, nu)
        statistics = tuple(
            None if side is None else decay * side + (1 - decay) * _gram(grad, axis)
            for axis, side in enumerate(slot.statistics)
        )
        direction = jnp.where(is_first, 0.0, direction)
        return direction, SoapSlot(mu, nu, statistics, slot.bases)

    return per_leaf(partial(_init_slot, max_precond_dim), rule, refresh=refresh)


def soap(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.95,
    weight_decay: float = 0.0,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10_000,
) -> optax.GradientTransformation:
    """SOAP with decoupled weight decay on every parameter, as in AdamW.

    The first update is the decay alone.
    """
    return optax.chain(
        scale_by_soap(
            b1,
            b2,
            precondition_frequency=precondition_frequency,
            max_precond_dim=max_precond_dim,
        ),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def _init_slot(max_precond_dim: int, path: str, param: jax.Array) -> SoapSlot:
    del path
    rotated = [param.ndim > 1 and 1 < d <= max_precond_dim for d in param.shape]
    axes = list(zip(param.shape, rotated, strict=True))
    return SoapSlot(
        mu=jnp.zeros(param.shape),
        nu=jnp.zeros(param.shape),
        statistics=tuple(jnp.zeros((d, d)) if yes else None for d, yes in axes),
        bases=tuple(jnp.eye(d) if yes else None for d, yes in axes),
    )


def _with_new_bases(slots: list[SoapSlot], count: jax.Array, frequency: int):
    """Slots with other bases where it is time for them.

    Bases change after an update whose number, from 0, the frequency divides; done
    here it is before the next one, with the same result.
    """
    is_due = (count > 1) & ((count - 1) % frequency == 0)
    branch = jnp.where(count == 1, 1, jnp.where(is_due, 2, 0))
    changing = [(slot.nu, slot.bases) for slot in slots]
    statistics = [slot.statistics for slot in slots]
    branches = (_kept, _begun, _refreshed)
    changed = jax.lax.switch(branch, branches, changing, statistics)
    return [
        slot._replace(nu=nu, bases=bases)
        for slot, (nu, bases) in zip(slots, changed, strict=True)
    ]


def _adam(grad, slot: SoapSlot, t: jax.Array, b1: float, b2: float, eps: float):
    """Adam's direction in the eigenbases, rotated back, and both moments."""
    rotated = _rotated(grad, slot.bases)
    mu = b1 * slot.mu + (1 - b1) * grad
    nu = b2 * slot.nu + (1 - b2) * jnp.square(rotated)
    t = jnp.maximum(t, 1)  # no division by 0 in the first update, which is dropped
    mu_hat = _rotated(mu, slot.bases) / (1 - b1**t)
    direction = mu_hat / (jnp.sqrt(nu / (1 - b2**t)) + eps)
    return _rotated(direction, slot.bases, back=True), mu, nu


def _gram(grad: jax.Array, axis: int) -> jax.Array:
    """G G^T [d, d] of an array seen as a matrix G [d = that axis, all others]."""
    others = [other for other in range(grad.ndim) if other != axis]
    return jnp.tensordot(grad, grad, axes=(others, others))


def _rotated(array: jax.Array, bases: Sides, back: bool = False) -> jax.Array:
    """Coordinates in the bases of all axes, or `back` from them."""
    for axis, basis in enumerate(bases):
        if basis is not None:
            contracted = jnp.tensordot(array, basis, axes=(axis, 1 if back else 0))
            array = jnp.moveaxis(contracted, -1, axis)
    return array


def _kept(changing: Changing, statistics: list[Sides]) -> Changing:
    del statistics
    return changing


def _begun(changing: Changing, statistics: list[Sides]) -> Changing:
    """Eigenvectors of the first statistics, largest eigenvalue first."""
    begun = []
    for (nu, _), sides in zip(changing, statistics, strict=True):
        bases = (None if s is None else jnp.linalg.eigh(s)[1][:, ::-1] for s in sides)
        begun.append((nu, tuple(bases)))
    return begun


def _refreshed(changing: Changing, statistics: list[Sides]) -> Changing:
    """Algorithm 4: a step of power iteration and QR from the bases there are.

    QR keeps the span of the first columns best, so those of the largest eigenvalues
    come first, and the second moment moves with them.
    """
    refreshed = []
    for (nu, bases), sides in zip(changing, statistics, strict=True):
        new: list[jax.Array | None] = [None] * len(sides)
        for axis, (basis, side) in enumerate(zip(bases, sides, strict=True)):
            if basis is None or side is None:
                continue
            # Full precision: errors of TF32 would be taken for eigenvectors.
            image = jnp.matmul(side, basis, precision=jax.lax.Precision.HIGHEST)
            order = jnp.argsort(-jnp.sum(basis * image, axis=0))
            nu = jnp.take(nu, order, axis=axis)
            new[axis] = jnp.linalg.qr(image[:, order])[0]
        refreshed.append((nu, tuple(new)))
    return refreshed
