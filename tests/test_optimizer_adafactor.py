"""Adafactor is the rule of WORKLOADS 4.3 and of its paper, computed by hand."""

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

from algoperf.optimizers import adafactor, state_bytes

RATES = np.linspace(0.0, 0.1, 20)


def second_moment(moments, decay, g):
    """Algorithm 4: an average of sums over rows and over columns, and V of them."""
    squared = g * g + 1e-30
    new = (squared,) if g.ndim < 2 else (squared.sum(axis=-1), squared.sum(axis=-2))
    moments = [decay * o + (1 - decay) * n for o, n in zip(moments, new, strict=True)]
    if g.ndim < 2:
        return moments, moments[0]
    rows, columns = moments
    total = rows.sum(axis=-1)[..., None, None]
    return moments, rows[..., :, None] * columns[..., None, :] / total


def through_8_bits(momentum):
    if momentum.ndim == 0:
        return momentum
    step = np.abs(momentum).max(axis=0, keepdims=True, initial=0) / 127
    return np.rint(momentum / np.where(step > 0, step, 1)) * step


def rule(b1, b2=0.99, weight_decay=0.0, clipping_threshold=1.0, bits=True):
    def by_hand(p, grads):
        moments = [0.0] if p.ndim < 2 else [0.0, 0.0]
        momentum = np.zeros_like(p)
        for t, (g, rate) in enumerate(zip(grads, RATES, strict=True)):
            decay = b2 * (1 - b2**t) / (1 - b2 ** (t + 1))
            moments, v = second_moment(moments, decay, g)
            u = g / np.sqrt(v)
            rms = np.sqrt((u * u).mean()) if u.size else 0
            u = u / max(1, rms / clipping_threshold)
            momentum = b1 * momentum + (1 - b1) * rate * u
            p = p - momentum - rate * weight_decay * p
            momentum = through_8_bits(momentum) if bits else momentum
            yield p

    return by_hand


def schedule(count):
    return jnp.asarray(RATES, jnp.float32)[count]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"b1": 0.9, "weight_decay": 0.2},
        {"b1": 0.5, "b2": 0.8, "clipping_threshold": 0.4},
    ],
)
def test_adafactor_is_the_rule_computed_by_hand(problem, hyperparameters):
    trained = train(adafactor(schedule, **hyperparameters), PROBLEMS[problem])
    assert_follows(trained, rule(**hyperparameters))


def test_the_comparison_would_see_momentum_of_full_precision():
    trained = train(adafactor(schedule, 0.9), PROBLEMS["net"])
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_follows(trained, rule(0.9, bits=False))


def test_the_first_update_uses_its_own_gradient_alone():
    # decay is 0 at t = 0, so v = g^2 and u = sign(g); momentum and rate scale it.
    params = {"bias": jnp.zeros(3)}
    optimizer = adafactor(0.5, b1=0.9)
    grads = {"bias": jnp.asarray([2.0, -3.0, 1e-6])}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_allclose(updates["bias"], [-0.05, 0.05, -0.05], rtol=1e-5)


def test_momentum_is_stored_in_127_steps_of_each_column_and_applied_in_full():
    params = {"kernel": jnp.zeros((2, 3))}
    optimizer = adafactor(1.0, b1=0.0, clipping_threshold=1e9)
    grads = {"kernel": jnp.asarray([[1.0, 2.0, 0.0], [0.3, -5.0, 0.0]])}
    updates, state = optimizer.update(grads, optimizer.init(params), params)
    slot = state.slots["kernel"]
    assert slot.momentum.dtype == jnp.int8
    largest = np.abs(updates["kernel"]).max(axis=0)
    np.testing.assert_allclose(slot.scale, largest / 127, rtol=1e-6)
    shares = -np.asarray(updates["kernel"]) / np.where(largest, largest, 1)
    np.testing.assert_array_equal(slot.momentum, np.rint(127 * shares))
    assert np.abs(slot.momentum).max(axis=0).tolist() == [127, 127, 0]


@pytest.mark.parametrize("bad", [np.inf, np.nan, 1e30])
@pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
def test_a_diverged_gradient_becomes_nan_and_stays(bad, shape):
    # 1e30 squared is infinite: without the rule it would be a step of 0 for ever.
    params = {"p": jnp.zeros(shape)}
    optimizer = adafactor(0.1, b1=0.9)
    state = optimizer.init(params)
    for grad in (jnp.full(shape, bad), jnp.ones(shape)):
        updates, state = optimizer.update({"p": grad}, state, params)
        assert np.isnan(updates["p"]).all()


def test_the_state_takes_little_more_than_a_byte_per_parameter():
    params = {"kernel": jnp.zeros((1024, 512)), "conv": jnp.zeros((3, 3, 64, 32))}
    state = adafactor(0.1, b1=0.9).init(params)
    row, column, scale = 1024 + 9 * 64, 512 + 9 * 32, 512 + 3 * 64 * 32
    elements = 1024 * 512 + 9 * 64 * 32
    assert state_bytes(state) == elements + 4 * (row + column + scale) + 4


def test_one_compilation_and_equal_results_on_two_devices():
    assert_compiled_once_and_equal_on_two_devices(lambda: adafactor(schedule, 0.9))


def test_parameters_are_needed():
    optimizer = adafactor(0.1, b1=0.9)
    params = {"kernel": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match=r"needs update\(updates, state, params\)"):
        optimizer.update(params, optimizer.init(params))


def test_it_is_a_transformation_that_optax_can_chain():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adafactor(0.1, b1=0.9))
    masked = optax.masked(optimizer, {"kernel": True, "bias": False})
    updates, _ = masked.update(params, masked.init(params), params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    np.testing.assert_allclose(updates["bias"], 1.0)
    np.testing.assert_allclose(updates["kernel"], -0.01, rtol=1e-5)
