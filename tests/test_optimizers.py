"""Schedules and NAdamW are what WORKLOADS' formulas give when computed by hand."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algoperf.optimizers import nadamw, scale_by_nadam, warmup_cosine, warmup_linear


def schedule(make, step_hint, **hyperparameters):
    hyperparameters = {"learning_rate": 0.5, "warmup_factor": 0.1} | hyperparameters
    learning_rate = make(SimpleNamespace(**hyperparameters), step_hint)
    return lambda step: float(learning_rate(step))


def cosine_by_hand(step, peak, warmup_steps, step_hint):
    if step < warmup_steps:
        return peak * step / warmup_steps
    length = max(step_hint - warmup_steps, 1)
    return (
        peak * 0.5 * (1 + math.cos(math.pi * min(step - warmup_steps, length) / length))
    )


def linear_by_hand(step, peak, warmup_steps, decay_steps, end):
    if step < warmup_steps:
        return peak * step / warmup_steps
    share = min((step - warmup_steps) / decay_steps, 1)
    return peak * (1 - share) + peak * end * share


def test_the_first_update_has_learning_rate_0():
    assert schedule(warmup_cosine, 100)(0) == 0.0
    linear = schedule(warmup_linear, 100, decay_steps_factor=0.9, end_factor=0.01)
    assert linear(0) == 0.0


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0), (1, 0.05), (5, 0.25), (10, 0.5), (40, 0.375), (55, 0.25), (100, 0)],
)
def test_a_warm_up_is_followed_by_half_a_cosine(step, expected):
    # 90 steps of cosine: a third of them leaves 3/4, a half 1/2, all of them nothing.
    learning_rate = schedule(warmup_cosine, 100)
    assert learning_rate(step) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("step_hint", [100, 1_005, 7_813])
@pytest.mark.parametrize("warmup_factor", [0.02, 0.05, 0.29])
def test_warm_up_steps_are_truncated(step_hint, warmup_factor):
    learning_rate = schedule(warmup_cosine, step_hint, warmup_factor=warmup_factor)
    warmup_steps = int(warmup_factor * step_hint)
    around = (0, 1, warmup_steps - 1, warmup_steps, warmup_steps + 1)
    for step in (*around, step_hint // 2, step_hint - 1, step_hint, step_hint + 9):
        expected = cosine_by_hand(step, 0.5, warmup_steps, step_hint)
        assert learning_rate(step) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_without_a_warm_up_a_cosine_begins_at_its_peak():
    learning_rate = schedule(warmup_cosine, 10, warmup_factor=0.0)
    assert [learning_rate(step) for step in (0, 5, 10)] == pytest.approx([0.5, 0.25, 0])


def test_a_warm_up_may_take_all_steps():
    learning_rate = schedule(warmup_cosine, 10, warmup_factor=1.0)
    expected = [0.45, 0.5, 0.0, 0.0]
    assert [learning_rate(step) for step in (9, 10, 11, 12)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0),
        (5, 0.25),
        (10, 0.5),
        (32, 0.5 - 0.4 * 22 / 45),
        (55, 0.1),
        (56, 0.1),
        (500, 0.1),
    ],
)
def test_a_warm_up_is_followed_by_a_linear_decay(step, expected):
    # int(90 x 0.5) = 45 steps from 0.5 to 0.5 x 0.2, 22 of them done at step 32.
    learning_rate = schedule(warmup_linear, 100, decay_steps_factor=0.5, end_factor=0.2)
    assert learning_rate(step) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("decay_steps_factor", [0.35, 0.9, 1.0])
@pytest.mark.parametrize("end_factor", [0.0, 1e-3, 1.0])
def test_decay_steps_are_truncated(decay_steps_factor, end_factor):
    learning_rate = schedule(
        warmup_linear,
        1_005,
        decay_steps_factor=decay_steps_factor,
        end_factor=end_factor,
    )
    decay_steps = int((1_005 - 100) * decay_steps_factor)
    for step in (0, 99, 100, 101, 300, 99 + decay_steps, 100 + decay_steps, 2_000):
        expected = linear_by_hand(step, 0.5, 100, decay_steps, end_factor)
        assert learning_rate(step) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_schedules_can_be_traced():
    make = SimpleNamespace(learning_rate=0.5, warmup_factor=0.1)
    traced = jax.jit(warmup_cosine(make, 100))
    assert float(traced(40)) == pytest.approx(0.375)


RANDOM = np.random.default_rng(11)
PARAMS = {
    "kernel": RANDOM.normal(size=(3, 2)).astype(np.float32),
    "bias": RANDOM.normal(size=2).astype(np.float32),
}
GRADS = [
    jax.tree.map(lambda p: RANDOM.normal(size=p.shape).astype(np.float32), PARAMS)
    for _ in range(6)
]


def nadamw_by_hand(params, grads, learning_rates, b1, b2, weight_decay, eps):
    """WORKLOADS 4.3 on one array in float64."""
    p = np.asarray(params, np.float64)
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, (g, rate) in enumerate(zip(grads, learning_rates, strict=True), 1):
        g = np.asarray(g, np.float64)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        m_hat = (b1 * m + (1 - b1) * g) / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        p = p - rate * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p)
    return p


def trained(optimizer):
    @jax.jit
    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params, state = PARAMS, optimizer.init(PARAMS)
    for grads in GRADS:
        params, state = step(params, state, grads)
    return params, state


@pytest.mark.parametrize(
    ("b1", "b2", "weight_decay", "eps"),
    [(0.9, 0.999, 0.0, 1e-8), (0.95, 0.9, 0.3, 1e-8), (0.0, 0.5, 0.1, 0.1)],
)
def test_nadamw_is_the_rule_computed_by_hand(b1, b2, weight_decay, eps):
    rates = [0.0, 0.01, 0.1, 0.2, 0.05, 0.001]
    optimizer = nadamw(
        lambda count: jnp.asarray(rates)[count], b1, b2, weight_decay, eps
    )
    params, _ = trained(optimizer)
    for name, before in PARAMS.items():
        grads = [step[name] for step in GRADS]
        expected = nadamw_by_hand(before, grads, rates, b1, b2, weight_decay, eps)
        np.testing.assert_allclose(params[name], expected, rtol=1e-4, atol=1e-6)


def test_the_epsilon_is_outside_the_root():
    optimizer = scale_by_nadam(0.9, 0.999, eps=1.0)
    params = {"bias": jnp.zeros(1)}
    updates, _ = optimizer.update({"bias": jnp.full(1, 2.0)}, optimizer.init(params))
    # First step: (1 + b1) g over sqrt(g^2) + 1.
    np.testing.assert_allclose(updates["bias"], [1.9 * 2 / (2 + 1)], rtol=1e-4)


def test_nadamw_decays_the_weights_of_every_parameter():
    zeros = jax.tree.map(np.zeros_like, PARAMS)
    optimizer = nadamw(0.1, 0.9, 0.999, weight_decay=0.5)
    updates, _ = optimizer.update(zeros, optimizer.init(PARAMS), PARAMS)
    jax.tree.map(
        lambda u, p: np.testing.assert_allclose(u, -0.05 * p, rtol=1e-5),
        updates,
        PARAMS,
    )


def test_nadamw_is_not_the_one_of_optax():
    ours, _ = trained(nadamw(0.1, 0.9, 0.999, weight_decay=0.0))
    theirs, _ = trained(optax.nadamw(0.1, 0.9, 0.999, weight_decay=0.0))
    assert np.max(np.abs(ours["kernel"] - theirs["kernel"])) > 1e-2


def test_the_state_counts_updates_and_has_the_params_tree():
    _, state = trained(scale_by_nadam(0.9, 0.999, 1e-8))
    assert state.count == 6
    assert state.count.dtype == jnp.int32
    for moments in (state.mu, state.nu):
        assert jax.tree.structure(moments) == jax.tree.structure(PARAMS)
        kinds = {leaf.dtype for leaf in jax.tree.leaves(moments)}
        assert kinds == {jnp.dtype("float32")}
