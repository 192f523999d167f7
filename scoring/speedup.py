"""Measures that do not depend on who else is ranked.

Speed-ups over a reference submission, workload by workload and as a geometric mean;
and the runlength profile: how many of several targets are reached within a share of
the budget (Hansen et al., "COCO: Performance Assessment", 2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.cube import seconds_to, trial_cube
from scoring.rules import Rules, Ruleset, WorkloadRule
from scoring.scoreboard import Scoreboard
from scoring.statistics import Interval, Resamples, quantile_interval

# How much easier than the rules' target, as shares of it: a narrow miss still counts.
LOOSENED = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
BUDGET_SHARES = tuple(share / 50 for share in range(1, 51))


@dataclass(frozen=True)
class Speedup:
    """How many times faster than a reference a submission reaches the targets.

    Above 1 is faster. `by_workload` has a workload's own speed-ups; where a target
    was not reached, the budget stands for the time (`missing` and
    `reference_missing` name those workloads), so that the number is a bound there.
    `time_saved` is 1 - 1 / speed-up: the share of the reference's time that the
    submission does not need.
    """

    submission: str
    reference: str
    geometric_mean: float
    interval: Interval
    time_saved: float
    by_workload: dict[str, float]
    intervals: dict[str, Interval]
    missing: tuple[str, ...]
    reference_missing: tuple[str, ...]


@dataclass(frozen=True)
class Runlength:
    """How much of several targets a submission reaches.

    `reached`: for each of `LOOSENED`, the share of all workloads and planned studies
    whose fastest trial reached the target made easier by as much. `profile`: for each
    of `BUDGET_SHARES`, the share of workloads, studies and targets reached within
    that share of the workload's budget.
    """

    submission: str
    reached: tuple[float, ...]
    profile: tuple[float, ...]


def speedups(
    board: Scoreboard, resamples: Resamples, reference: str
) -> tuple[Speedup, ...]:
    """Of every submission over the reference, best first as on the leaderboard."""
    rules, names = board.rules, resamples.submissions
    budgets = budgets_s(rules, [board.logs.rulesets[name] for name in names])
    times = np.stack([board.times.column(name) for name in rules.names], axis=-1)
    logs = np.log(np.where(np.isfinite(times), times, budgets))
    base = names.index(reference)
    drawn_base = _logs(resamples, reference, budgets[base])
    found = []
    for name in board.submissions:
        own = names.index(name)
        gained = logs[base] - logs[own]
        drawn_gains = drawn_base - _logs(resamples, name, budgets[own])
        mean = float(np.exp(gained.mean()))
        found.append(
            Speedup(
                name,
                reference,
                mean,
                quantile_interval(np.exp(drawn_gains.mean(axis=-1))),
                1 - 1 / mean,
                dict(zip(rules.names, np.exp(gained).tolist(), strict=True)),
                {
                    workload: quantile_interval(np.exp(drawn_gains[:, column]))
                    for column, workload in enumerate(rules.names)
                },
                _missing(rules, times[own]),
                _missing(rules, times[base]),
            )
        )
    return tuple(found)


def _logs(resamples: Resamples, name: str, budgets: np.ndarray) -> np.ndarray:
    """Log seconds or budgets, [resamples, scored workloads]."""
    drawn = resamples.medians(name)[:, : len(budgets)]
    return np.log(np.where(np.isfinite(drawn), drawn, budgets))


def budgets_s(rules: Rules, rulesets: Sequence[Ruleset]) -> np.ndarray:
    """Budgets in submission seconds, [submissions, scored workloads]."""
    return np.array(
        [[rules.budget_s(rule, own) for rule in rules.workloads] for own in rulesets]
    )


def _missing(rules: Rules, times: np.ndarray) -> tuple[str, ...]:
    return tuple(
        name
        for name, time in zip(rules.names, times, strict=True)
        if not np.isfinite(time)
    )


def loosened(rule: WorkloadRule, share: float) -> float:
    """The target made easier by a share of it."""
    sign = 1 if rule.goal == "min" else -1
    return rule.validation_target + sign * share * abs(rule.validation_target)


def runlengths(board: Scoreboard) -> tuple[Runlength, ...]:
    """Runlength profiles, best first as on the leaderboard."""
    names = board.submissions
    budgets = budgets_s(board.rules, [board.logs.rulesets[name] for name in names])
    # [targets, submissions, workloads, studies], in shares of the budget
    used = np.stack([_seconds_at(board, share) for share in LOOSENED])
    used /= budgets[None, :, :, None]
    reached = np.isfinite(used).mean(axis=(2, 3))
    within = [(used <= share).mean(axis=(0, 2, 3)) for share in BUDGET_SHARES]
    profile = np.stack(within, axis=-1)
    return tuple(
        Runlength(name, tuple(reached[:, own].tolist()), tuple(profile[own].tolist()))
        for own, name in enumerate(names)
    )


def _seconds_at(board: Scoreboard, share: float) -> np.ndarray:
    """Study seconds to the targets made easier, of the scored workloads."""
    columns = []
    for rule in board.rules.workloads:
        alone = board.rules.alone(rule)
        measure = seconds_to(loosened(rule, share), rule.goal)
        cube = trial_cube(board.runtimes, board.submissions, alone, measure)
        columns.append(cube.min(axis=-1)[:, 0])
    return np.stack(columns, axis=1)
