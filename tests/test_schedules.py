"""Learning-rate rules against their formulas, computed by hand."""

from types import SimpleNamespace

import pytest

from algoperf import schedules


def rates(make, steps, step_hint=100, **hyperparameters):
    point = {"learning_rate": 0.5, "warmup_factor": 0.1} | hyperparameters
    schedule = make(SimpleNamespace(**point), step_hint)
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (schedules.warmup_cosine, {}),
        (schedules.warmup_linear, {"decay_steps_factor": 0.9, "end_factor": 0.1}),
        (schedules.linear_decay, {}),
        (schedules.warmup_polynomial, {"power": 2.0, "end_factor": 0.0}),
        (schedules.warmup_stable_decay, {"decay_factor": 0.2}),
        (schedules.warmup_constant, {}),
    ],
)
def test_all_warm_up_alike_from_nothing(make, more):
    found = rates(make, (0, 1, 5, 10), **more)
    assert found == pytest.approx([0.0, 0.05, 0.25, 0.5])


def test_linear_decay_ends_at_nothing():
    found = rates(schedules.linear_decay, (10, 55, 100, 200))
    assert found == pytest.approx([0.5, 0.25, 0.0, 0.0], abs=1e-8)


def test_a_polynomial_goes_down_by_a_power_of_what_is_left():
    # 0.05 + 0.45 (1 - t) ** 2 with t = 0, 1/3, 2/3, 1.
    found = rates(
        schedules.warmup_polynomial, (10, 40, 70, 100), power=2.0, end_factor=0.1
    )
    assert found == pytest.approx([0.5, 0.05 + 0.45 * 4 / 9, 0.05 + 0.45 / 9, 0.05])


def test_wsd_is_constant_and_then_falls():
    found = rates(
        schedules.warmup_stable_decay, (10, 79, 80, 90, 100, 150), decay_factor=0.2
    )
    assert found == pytest.approx([0.5, 0.5, 0.5, 0.25, 0.0, 0.0], abs=1e-8)


def test_wsd_may_be_all_decay():
    found = rates(schedules.warmup_stable_decay, (10, 55, 100), decay_factor=1.0)
    assert found == pytest.approx([0.5, 0.25, 0.0], abs=1e-8)


def test_constant_stays():
    assert rates(schedules.warmup_constant, (10, 50, 1_000)) == [0.5] * 3


@pytest.mark.parametrize("step_hint", [1, 7, 1_000])
def test_short_runs_have_finite_rates(step_hint):
    more = {"power": 1.0, "end_factor": 0.0, "decay_factor": 0.5}
    more |= {"decay_steps_factor": 0.9, "warmup_factor": 0.9}
    for make in (
        schedules.warmup_cosine,
        schedules.linear_decay,
        schedules.warmup_linear,
        schedules.warmup_polynomial,
        schedules.warmup_stable_decay,
    ):
        found = rates(make, range(step_hint + 2), step_hint, **more)
        assert all(0.0 <= rate <= 0.5 for rate in found)
