"""Learning-rate rules, as shares of a workload's step hint.

Each takes a point of hyperparameters and the step hint and returns an optax schedule.
They read `learning_rate`, the highest rate, and `warmup_factor`, the share of the steps
in which it grows linearly from 0 (the first update has learning rate 0), and what their
docstrings name besides.
"""

from typing import Any

import optax


def warmup_cosine(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Then half a cosine down to 0 at `step_hint` (Loshchilov & Hutter, 2017)."""
    peak, warmup_steps, rest = _parts(hyperparameters, step_hint)
    decay = optax.cosine_decay_schedule(peak, max(rest, 1))
    return _warmed_up(peak, warmup_steps, decay)


def warmup_linear(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Then linearly down to a constant end value.

    `decay_steps_factor` is the share of the remaining steps that the way down takes,
    `end_factor` the share of the learning rate at its end.
    """
    peak, warmup_steps, rest = _parts(hyperparameters, step_hint)
    decay_steps = int(rest * hyperparameters.decay_steps_factor)
    end = peak * hyperparameters.end_factor
    decay = optax.linear_schedule(peak, end, decay_steps)
    return _warmed_up(peak, warmup_steps, decay)


def linear_decay(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Then linearly down to 0 at `step_hint` (Defazio et al., 2023)."""
    peak, warmup_steps, rest = _parts(hyperparameters, step_hint)
    return _warmed_up(peak, warmup_steps, optax.linear_schedule(peak, 0.0, rest))


def warmup_polynomial(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Then down to an end value at `step_hint` by a power of what is left.

    end + (peak - end) (1 - t) ** `power` with t from 0 to 1; `end_factor` is the share
    of the learning rate at the end.
    """
    peak, warmup_steps, rest = _parts(hyperparameters, step_hint)
    decay = optax.polynomial_schedule(
        peak, peak * hyperparameters.end_factor, hyperparameters.power, max(rest, 1)
    )
    return _warmed_up(peak, warmup_steps, decay)


def warmup_stable_decay(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Then constant, then linearly down to 0 at `step_hint` (WSD: Hu et al., 2024).

    `decay_factor` is the share of all steps that the way down takes.
    """
    peak, warmup_steps, rest = _parts(hyperparameters, step_hint)
    decay_steps = min(int(hyperparameters.decay_factor * step_hint), rest)
    stable_then_decay = optax.join_schedules(
        [
            optax.constant_schedule(peak),
            optax.linear_schedule(peak, 0.0, max(decay_steps, 1)),
        ],
        [rest - decay_steps],
    )
    return _warmed_up(peak, warmup_steps, stable_then_decay)


def warmup_constant(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Then constant: for schedule-free and for learning-rate-free methods."""
    peak, warmup_steps, _ = _parts(hyperparameters, step_hint)
    return _warmed_up(peak, warmup_steps, optax.constant_schedule(peak))


def _parts(hyperparameters: Any, step_hint: int) -> tuple[float, int, int]:
    """The highest rate, the steps of warm-up, and the steps after it."""
    warmup_steps = int(hyperparameters.warmup_factor * step_hint)
    return hyperparameters.learning_rate, warmup_steps, step_hint - warmup_steps


def _warmed_up(peak: float, warmup_steps: int, then: optax.Schedule) -> optax.Schedule:
    warmup = optax.linear_schedule(0.0, peak, warmup_steps)
    return optax.join_schedules([warmup, then], [warmup_steps])
