"""SOAP is algorithms 3 and 4 of its paper, computed by hand in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optimizer_runs import (
    NET,
    PROBLEMS,
    QUADRATIC,
    assert_compiled_once_and_equal_on_two_devices,
    assert_follows,
    train,
)

from algoperf.optimizers import scale_by_soap, soap, state_bytes


def unfolded(g, axis):
    """An array as a matrix with that axis as its rows."""
    return np.moveaxis(g, axis, 0).reshape(g.shape[axis], -1)


def times(g, matrix, axis):
    """matrix @ g along an axis."""
    rows = matrix @ unfolded(g, axis)
    shape = np.moveaxis(g, axis, 0).shape
    return np.moveaxis(rows.reshape(shape), 0, axis)


class Side:
    """L (or R) of one axis, with its eigenbasis Q."""

    def __init__(self, axis, size):
        self.axis, self.statistic, self.q = axis, np.zeros((size, size)), np.eye(size)

    def observe(self, g, b2):
        g = unfolded(g, self.axis)
        self.statistic = b2 * self.statistic + (1 - b2) * g @ g.T

    def refresh(self, v):
        """Algorithm 4; columns first sorted by their estimated eigenvalues."""
        estimates = np.diag(self.q.T @ self.statistic @ self.q)
        order = np.argsort(-estimates)
        self.q, _ = np.linalg.qr(self.statistic @ self.q[:, order])
        return np.take(v, order, self.axis)


def rule(rate=0.02, b1=0.9, b2=0.95, weight_decay=0.1, every=4, max_dim=100):
    def by_hand(p, grads):
        sides = [
            Side(axis, d)
            for axis, d in enumerate(p.shape)
            if p.ndim > 1 and 1 < d <= max_dim
        ]
        m = v = np.zeros_like(p)
        for t, g in enumerate(grads):
            u = np.zeros_like(p)
            if t > 0:
                m, rotated = b1 * m + (1 - b1) * g, g
                rotated_m = m
                for s in sides:
                    rotated = times(rotated, s.q.T, s.axis)
                    rotated_m = times(rotated_m, s.q.T, s.axis)
                v = b2 * v + (1 - b2) * rotated**2
                u = rotated_m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
                for s in sides:
                    u = times(u, s.q, s.axis)
            p = p - rate * (u + weight_decay * p)
            for s in sides:
                s.observe(g, b2)
                if t == 0:
                    s.q = np.linalg.eigh(s.statistic)[1]
                elif t % every == 0:
                    v = s.refresh(v)
            yield p

    return by_hand


def make(max_dim=100, every=4):
    return soap(
        0.02,
        b1=0.9,
        b2=0.95,
        weight_decay=0.1,
        precondition_frequency=every,
        max_precond_dim=max_dim,
    )


@pytest.mark.parametrize(
    ("problem", "max_dim", "every"),
    [
        (QUADRATIC, 100, 4),
        (NET, 100, 4),
        # Axes of 4 are left as they are: one side of the matrix, one of the kernel.
        (QUADRATIC, 3, 1),
        (NET, 3, 7),
    ],
)
def test_soap_is_the_rule_computed_by_hand(problem, max_dim, every):
    trained = train(make(max_dim, every), problem)
    assert_follows(trained, rule(max_dim=max_dim, every=every))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_without_rotations_it_is_adam_one_gradient_late(problem):
    trained = train(make(max_dim=0), PROBLEMS[problem])
    optimizer = optax.scale_by_adam(0.9, 0.95)
    ours = scale_by_soap(0.9, 0.95, max_precond_dim=0)
    state, our_state = optimizer.init(trained.params[0]), ours.init(trained.params[0])
    first, our_state = jax.jit(ours.update)(trained.grads[0], our_state)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(first))
    update, our_update = jax.jit(optimizer.update), jax.jit(ours.update)
    for grads in trained.grads[1:6]:
        expected, state = update(grads, state)
        updates, our_state = our_update(grads, our_state)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
            updates,
            expected,
        )


def trained_slot(shape, steps, **options):
    random = np.random.default_rng(3)
    params = {"w": jnp.zeros(shape)}
    optimizer = scale_by_soap(precondition_frequency=3, **options)
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    slots = []
    for _ in range(steps):
        grads = {"w": jnp.asarray(random.normal(size=shape), jnp.float32)}
        _, state = update(grads, state)
        slots.append(state.slots["w"])
    return slots


def test_bases_are_orthonormal_and_change_only_when_they_should():
    slots = trained_slot((6, 5), steps=12)
    for slot in slots:
        for basis in slot.bases:
            np.testing.assert_allclose(
                basis.T @ basis, np.eye(len(basis)), rtol=0, atol=1e-5
            )
    changed = [
        step
        for step in range(1, 12)
        if np.any(slots[step].bases[0] != slots[step - 1].bases[0])
    ]
    assert changed == [1, 4, 7, 10]  # used from the update after the one they are of


def test_the_first_basis_is_of_eigenvectors():
    first, second = trained_slot((6, 6), steps=2)
    for side, basis in zip(first.statistics, second.bases, strict=True):
        turned = basis.T @ side @ basis
        values = np.linalg.eigvalsh(side)[::-1]
        np.testing.assert_allclose(turned, np.diag(values), rtol=1e-4, atol=1e-5)


def test_power_iteration_finds_the_eigenvectors_of_a_constant_statistic():
    random = np.random.default_rng(3)
    vectors, _ = np.linalg.qr(random.normal(size=(4, 4)))
    grad = vectors * [4.0, 3.0, 2.0, 1.0]  # G G^T has eigenvalues 16, 9, 4, 1
    optimizer = scale_by_soap(precondition_frequency=1)
    params = {"w": jnp.zeros((4, 4))}
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    _, state = update({"w": jnp.asarray(random.normal(size=(4, 4)))}, state)
    for _ in range(100):
        _, state = update({"w": jnp.asarray(grad)}, state)
    overlap = np.abs(vectors.T @ np.asarray(state.slots["w"].bases[0]))
    np.testing.assert_allclose(overlap, np.eye(4), rtol=0, atol=0.01)


def test_long_axes_vectors_and_scalars_have_no_statistics():
    shapes = {"long": (50, 4), "one": (1, 4), "vector": (4,), "scalar": ()}
    params = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    slots = scale_by_soap(max_precond_dim=10).init(params).slots
    sizes = {
        name: [0 if side is None else side.shape[0] for side in slots[name].statistics]
        for name in shapes
    }
    assert sizes == {"long": [0, 4], "one": [0, 4], "vector": [0], "scalar": []}


def test_the_state_has_two_moments_and_two_matrices_a_side():
    state = scale_by_soap().init({"w": jnp.zeros((30, 20))})
    assert state_bytes(state) == 4 * (2 * 600 + 2 * (900 + 400)) + 4


def test_one_compilation_and_equal_results_on_two_devices():
    assert_compiled_once_and_equal_on_two_devices(make)
