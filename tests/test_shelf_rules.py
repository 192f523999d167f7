"""Bundled optimizers against their papers' formulas in numpy, over 20 steps."""

import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.cli.bundled import bundled_submissions
from algoperf.optax_submission import plain_gradients, sam_gradients
from algoperf.submission import load_submission

STEPS, HINT = 20, 40
POINT = {
    "learning_rate": 0.05,
    "warmup_factor": 0.1,
    "one_minus_beta1": 0.1,
    "beta2": 0.99,
    "weight_decay": 0.02,
    "decay_steps_factor": 0.9,
    "end_factor": 0.01,
}
DRAWS = np.random.default_rng(0)
START = {
    "w": DRAWS.normal(size=(3, 4)),
    "b": DRAWS.normal(size=4),
    "s": DRAWS.normal(size=()),
}
GRADS = [
    {name: DRAWS.normal(size=value.shape) for name, value in START.items()}
    for _ in range(STEPS)
]


def optimizer_of(name: str):
    """The function that a bundled submission makes its optimizer with."""

    load_submission(bundled_submissions()[name])
    module = sys.modules["algoperf_submission.submission"]
    return module.optimizer(SimpleNamespace(**POINT), HINT)


def cosine(step: int) -> float:
    warm = int(POINT["warmup_factor"] * HINT)
    if step < warm:
        return POINT["learning_rate"] * step / warm
    share = (step - warm) / (HINT - warm)
    return POINT["learning_rate"] * 0.5 * (1 + np.cos(np.pi * share))


def linear(step: int) -> float:
    warm = int(POINT["warmup_factor"] * HINT)
    if step < warm:
        return POINT["learning_rate"] * step / warm
    share = min((step - warm) / int((HINT - warm) * POINT["decay_steps_factor"]), 1.0)
    return POINT["learning_rate"] * (1 - share * (1 - POINT["end_factor"]))


B1, B2, WD = 1 - POINT["one_minus_beta1"], POINT["beta2"], POINT["weight_decay"]


def adam_direction(state, grad, step):
    state["m"] = B1 * state.get("m", 0.0) + (1 - B1) * grad
    state["v"] = B2 * state.get("v", 0.0) + (1 - B2) * grad**2
    m, v = state["m"] / (1 - B1**step), state["v"] / (1 - B2**step)
    return m / (np.sqrt(v) + 1e-8)


def adamw(state, grad, p, step):
    return cosine(step - 1) * (adam_direction(state, grad, step) + WD * p)


def lamb(state, grad, p, step):
    u = adam_direction(state, grad, step) + WD * p
    norms = np.linalg.norm(p), np.linalg.norm(u)
    trust = norms[0] / norms[1] if min(norms) > 0 else 1.0
    return cosine(step - 1) * trust * u


def lion(state, grad, p, step):
    m = state.get("m", 0.0)
    u = np.sign(B1 * m + (1 - B1) * grad)
    state["m"] = B2 * m + (1 - B2) * grad
    return cosine(step - 1) * (u + WD * p)


def momentum(state, grad, p, step):
    state["t"] = grad + WD * p + B1 * state.get("t", 0.0)
    return linear(step - 1) * state["t"]


def nesterov(state, grad, p, step):
    decayed = grad + WD * p
    state["t"] = decayed + B1 * state.get("t", 0.0)
    return linear(step - 1) * (decayed + B1 * state["t"])


def cautious_adamw(state, grad, p, step):
    u = adam_direction(state, grad, step)
    agrees = u * grad > 0
    u = u * agrees * (u.size / (agrees.sum() + 1))
    return cosine(step - 1) * (u + WD * p)


@pytest.mark.parametrize(
    "rule",
    [adamw, lamb, lion, momentum, nesterov, cautious_adamw],
    ids=lambda rule: rule.__name__,
)
def test_twenty_steps_are_those_of_the_formula(rule):
    optimizer = optimizer_of(rule.__name__)
    params = jax.tree.map(jnp.float32, START)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    expected, states = dict(START), {name: {} for name in START}
    for step, grads in enumerate(GRADS, start=1):
        updates, state = update(jax.tree.map(jnp.float32, grads), state, params)
        params = jax.tree.map(jnp.add, params, updates)
        expected = {
            name: value - rule(states[name], grads[name], value, step)
            for name, value in expected.items()
        }
        for name, value in expected.items():
            np.testing.assert_allclose(params[name], value, rtol=2e-4, atol=2e-5)


def test_sam_takes_the_gradient_up_the_hill():
    # f = sum(a p ** 2) / 2, whose gradient is a p, here and up the hill.
    scale = jnp.array([1.0, 4.0])
    params = {"p": jnp.array([3.0, 1.0])}

    def loss(params, update_batch_norm):
        return (scale * params["p"] ** 2).sum() / 2, update_batch_norm

    point = SimpleNamespace(rho=0.5)
    (value, updated), grads = sam_gradients(loss, params, point)
    gradient = np.array([3.0, 4.0])
    nearby = np.array([3.0, 1.0]) + 0.5 * gradient / 5.0
    np.testing.assert_allclose(grads["p"], np.array([1.0, 4.0]) * nearby, rtol=1e-6)
    assert float(value) == 6.5  # at the params themselves
    assert updated is True  # running statistics are those of the first pass
    (_, _), plain = plain_gradients(loss, params, point)
    np.testing.assert_allclose(plain["p"], gradient)
