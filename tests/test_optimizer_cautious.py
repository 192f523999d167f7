"""A cautious optimizer never steps against the gradient, and rescales what is left."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optimizer_runs import (
    PROBLEMS,
    assert_compiled_once_and_equal_on_two_devices,
    assert_follows,
    train,
)

from algoperf.optimizers import cautious


def cautious_adamw(rate=0.05, b1=0.9, b2=0.99, weight_decay=0.1):
    return optax.chain(
        cautious(optax.scale_by_adam(b1, b2)),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )


def by_hand(p, grads, rate=0.05, b1=0.9, b2=0.99, weight_decay=0.1):
    """Algorithm 2 of Liang et al. 2024 (C-AdamW) in float64."""
    m = v = np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        aligned = (u * g > 0).astype(np.float64)
        rescaled = rate * p.size / (np.count_nonzero(aligned) + 1)
        p = p - rescaled * aligned * u - rate * weight_decay * p
        yield p


@pytest.mark.parametrize("problem", PROBLEMS)
def test_cautious_adamw_is_the_rule_computed_by_hand(problem):
    assert_follows(train(cautious_adamw(), PROBLEMS[problem]), by_hand)


def signs_against_gradients(direction, problem):
    """Signs of every update x gradient while training with a direction."""
    optimizer = optax.chain(direction, optax.scale(-0.01))
    trained = train(optimizer, problem)
    state, update = direction.init(trained.params[0]), jax.jit(direction.update)
    signs = set()
    for grads in trained.grads:
        updates, state = update(grads, state)
        for u, g in zip(*map(jax.tree.leaves, (updates, grads)), strict=True):
            signs.update((np.sign(u) * np.sign(g)).ravel().tolist())
    return signs


@pytest.mark.parametrize("problem", PROBLEMS)
def test_no_update_is_against_the_gradient(problem):
    momentum = optax.trace(0.95)
    # Momentum alone goes against it; a cautious one stands still there.
    assert signs_against_gradients(momentum, PROBLEMS[problem]) == {-1.0, 1.0}
    assert signs_against_gradients(cautious(momentum), PROBLEMS[problem]) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("direction", "grad", "expected"),
    [
        # 4 elements, 2 of which agree: 4 / 3 of them.
        ([1.0, -2.0, 3.0, -4.0], [1.0, -1.0, -1.0, 1.0], [4 / 3, -8 / 3, 0, 0]),
        ([1.0, -2.0], [1.0, -1.0], [2 / 3, -4 / 3]),
        ([1.0, -2.0], [-1.0, 1.0], [0, 0]),
        # No gradient, no step; nor does it count.
        ([1.0, -2.0, 3.0], [0.0, -1.0, 0.0], [0, -3.0, 0]),
        # The product of these two is 0 in float32.
        ([1e-30, 1.0], [1e-30, 1.0], [2e-30 / 3, 2 / 3]),
    ],
)
def test_what_agrees_is_scaled_up_by_what_does_not(direction, grad, expected):
    inner = optax.stateless(lambda updates, params: {"w": jnp.asarray(direction)})
    updates, _ = cautious(inner).update({"w": jnp.asarray(grad)}, inner.init({}))
    np.testing.assert_allclose(updates["w"], expected, rtol=1e-6)


def test_every_tensor_has_a_scale_of_its_own():
    grads = {"agrees": jnp.ones(3), "differs": -jnp.ones(3)}
    inner = optax.stateless(lambda updates, params: jax.tree.map(jnp.abs, updates))
    updates, _ = cautious(inner).update(grads, inner.init({}))
    np.testing.assert_allclose(updates["agrees"], np.full(3, 3 / 4))
    np.testing.assert_array_equal(updates["differs"], np.zeros(3))


def test_one_compilation_and_equal_results_on_two_devices():
    assert_compiled_once_and_equal_on_two_devices(cautious_adamw)


def test_arguments_reach_the_wrapped_transformation():
    def update(updates, state, params=None, *, value):
        return jax.tree.map(lambda u: u * value, updates), state

    inner = optax.GradientTransformationExtraArgs(lambda params: (), update)
    updates, _ = cautious(inner).update({"w": jnp.ones(1)}, (), None, value=3.0)
    np.testing.assert_allclose(updates["w"], [1.5])
