"""Bundled optimizers with a state of their whole own, against their papers in numpy.

Each rule takes flat dicts of float64 arrays: the params before training and the
gradients of every step, which JAX found at the params of the bundled optimizer.
"""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from optimizer_runs import NET, QUADRATIC, STEPS, train

from algoperf.cli.bundled import bundled_submissions
from algoperf.optimizers import baseline_nadamw
from algoperf.submission import load_submission

Arrays = dict[str, np.ndarray]
HINT = 25
POINT = SimpleNamespace(
    learning_rate=0.03,
    warmup_factor=0.2,
    one_minus_beta1=0.1,
    beta2=0.98,
    weight_decay=0.05,
    beta3=0.999,
    alpha=5.0,
)
RATE, WARM, WD = POINT.learning_rate, 5, POINT.weight_decay
# Large enough for Prodigy's own learning rate to grow from 1e-6 within the steps.
PRODIGY_RATE = 10.0
B1, B2, EPS = 0.9, POINT.beta2, 1e-8


def optimizer_of(name: str):
    """What a bundled submission makes of the point."""
    load_submission(bundled_submissions()[name])
    module = sys.modules["algoperf_submission.submission"]
    rate = PRODIGY_RATE if name == "prodigy" else RATE
    point = SimpleNamespace(**vars(POINT) | {"learning_rate": rate})
    return module.optimizer(point, HINT)


def flat(tree) -> Arrays:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path): np.asarray(leaf, np.float64)
        for path, leaf in leaves
    }


def cosine(step: int, peak: float = RATE) -> float:
    """The learning rate of step 1, 2, ...: the schedule counts updates from 0."""
    done = step - 1
    if done < WARM:
        return peak * done / WARM
    return peak * 0.5 * (1 + np.cos(np.pi * (done - WARM) / (HINT - WARM)))


def zeros(params: Arrays) -> Arrays:
    return {name: np.zeros_like(value) for name, value in params.items()}


def nadamw(p: Arrays, history: list[Arrays]) -> Iterator[Arrays]:
    m, v = zeros(p), zeros(p)
    for t, grads in enumerate(history, 1):
        for k, g in grads.items():
            m[k] = B1 * m[k] + (1 - B1) * g
            v[k] = B2 * v[k] + (1 - B2) * g**2
            ahead = (B1 * m[k] + (1 - B1) * g) / (1 - B1**t)
            step = ahead / (np.sqrt(v[k] / (1 - B2**t)) + EPS)
            p[k] = p[k] - cosine(t) * (step + WD * p[k])
        yield p


def ademamix(p: Arrays, history: list[Arrays]) -> Iterator[Arrays]:
    """Pagliardini et al. 2025, algorithm 1; schedules of alpha and beta3 from 0."""
    fast, slow, v = zeros(p), zeros(p), zeros(p)
    for t, grads in enumerate(history, 1):
        share = (t - 1) / HINT
        alpha = POINT.alpha * share
        # Equation of section 3: the half-lives are interpolated, in closed form.
        logs = np.log(B1), np.log(POINT.beta3)
        b3 = np.exp(logs[0] * logs[1] / ((1 - share) * logs[1] + share * logs[0]))
        for k, g in grads.items():
            fast[k] = B1 * fast[k] + (1 - B1) * g
            slow[k] = b3 * slow[k] + (1 - b3) * g
            v[k] = B2 * v[k] + (1 - B2) * g**2
            step = fast[k] / (1 - B1**t) + alpha * slow[k]
            step = step / (np.sqrt(v[k] / (1 - B2**t)) + EPS)
            p[k] = p[k] - cosine(t) * (step + WD * p[k])
        yield p


def schedule_free_adamw(p: Arrays, history: list[Arrays]) -> Iterator[Arrays]:
    """Defazio et al. 2024, algorithm 1: y is trained on, x is its average."""
    x, z, v = dict(p), dict(p), zeros(p)
    weights = 0.0
    for t, grads in enumerate(history, 1):
        # optax counts the steps of its averages from 1, those of its updates from 0.
        weight = min(t / WARM, 1.0) ** 2
        weights += weight
        share, rate = weight / weights, RATE * min((t - 1) / WARM, 1.0)
        for k, g in grads.items():
            v[k] = B2 * v[k] + (1 - B2) * g**2
            step = g / (np.sqrt(v[k] / (1 - B2**t)) + EPS)
            z[k] = z[k] - rate * (step + WD * p[k])
            x[k] = (1 - share) * x[k] + share * z[k]
            p[k] = (1 - B1) * z[k] + B1 * x[k]
        yield p


def newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """Jordan et al. 2024: five quintic iterations from X / |X|."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x


def muon(p: Arrays, history: list[Arrays]) -> Iterator[Arrays]:
    m, v = zeros(p), zeros(p)
    for t, grads in enumerate(history, 1):
        for k, g in grads.items():
            m[k] = B1 * m[k] + (1 - B1) * g
            if g.ndim > 1:
                # Nesterov's step, corrected as optax does it; all axes but the last
                # are what the layer sums over.
                ahead = B1 * m[k] / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
                matrix = ahead.reshape(-1, g.shape[-1])
                step = newton_schulz(matrix) * 0.2 * np.sqrt(max(matrix.shape))
                step = step.reshape(g.shape)
            else:
                v[k] = B2 * v[k] + (1 - B2) * g**2
                # optax's Muon gives its AdamW Nesterov's step as well (Dozat 2016).
                corrected = B1 * m[k] / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
                step = corrected / (np.sqrt(v[k] / (1 - B2**t)) + EPS)
            p[k] = p[k] - cosine(t) * (step + WD * p[k])
        yield p


def prodigy(p: Arrays, history: list[Arrays]) -> Iterator[Arrays]:
    """Mishchenko & Defazio 2024, algorithm 4, with the options of their code:
    bias correction, and a sum in the denominator that leaves the schedule out."""
    b2, d0 = 0.999, 1e-6
    start, m, v, s = dict(p), zeros(p), zeros(p), zeros(p)
    d, r = d0, 0.0
    for t, grads in enumerate(history, 1):
        rate = d * cosine(t, PRODIGY_RATE) * np.sqrt(1 - b2**t) / (1 - B1**t)
        inner = sum(np.sum(g * (start[k] - p[k])) for k, g in grads.items())
        r = np.sqrt(b2) * r + d / d0 * rate * inner
        for k, g in grads.items():
            m[k] = B1 * m[k] + (1 - B1) * d * g
            v[k] = b2 * v[k] + (1 - b2) * (d * g) ** 2
            s[k] = np.sqrt(b2) * s[k] + d / d0 * d * g
        d = max(d, r / sum(np.abs(one).sum() for one in s.values()))
        for k in grads:
            step = m[k] / (np.sqrt(v[k]) + d * EPS)
            p[k] = p[k] - rate * (step + WD * p[k])
        yield p


RULES = [ademamix, schedule_free_adamw, muon, prodigy]
PROBLEMS = {"quadratic": QUADRATIC, "net": NET}


def assert_equal_to(rule, optimizer, problem, rtol=1e-3, atol=2e-5) -> None:
    trained = train(optimizer, problem)
    expected = rule(flat(trained.params[0]), [flat(tree) for tree in trained.grads])
    steps = 0
    for found, params in zip(trained.params[1:], expected, strict=True):
        steps += 1
        for name, value in flat(found).items():
            said = f"{name}, step {steps}"
            np.testing.assert_allclose(value, params[name], rtol, atol, err_msg=said)
    assert steps == STEPS


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_twenty_steps_are_those_of_the_paper(rule, problem):
    # Prodigy's first differences from the start are hardly more than float32 rounding;
    # its params move by more than 1.
    atol = 2e-2 if rule is prodigy else 2e-5
    assert_equal_to(rule, optimizer_of(rule.__name__), PROBLEMS[problem], atol=atol)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_nadamw_is_the_formula_of_the_baselines(problem):
    assert_equal_to(nadamw, baseline_nadamw(POINT, HINT), PROBLEMS[problem])


def test_prodigy_does_find_a_learning_rate():
    trained = train(optimizer_of("prodigy"), QUADRATIC)
    assert float(trained.state.estim_lr) > 1e-2  # from 1e-6
