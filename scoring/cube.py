"""Results as arrays: what resampling and sensitivity compute with.

Axes, in this order: submissions, workloads (`rules.needed`), studies, trials. Infinite
where the target was not reached and where a trial is missing.
"""

from collections.abc import Callable, Sequence

import numpy as np

from algoperf.facts import Goal
from scoring import profiles
from scoring.reach import first_at
from scoring.rules import Rules
from scoring.runtimes import Attempt, Runtimes, step_of

# The number of an attempt: its time, its step, or what else is asked.
Measure = Callable[[Attempt], float]


def seconds_to_target(attempt: Attempt) -> float:
    """Submission seconds, infinite if the target was not reached."""
    return np.inf if attempt.reach is None else attempt.reach.time_s


def steps_to_target(attempt: Attempt) -> float:
    """Steps; NaN if the target was reached at a step that cannot be read."""
    return np.inf if attempt.reach is None else step_of(attempt.reach)


def interpolated_seconds(attempt: Attempt) -> float:
    """Seconds to the crossing between two evaluations, where there are two."""
    reach = attempt.reach
    if reach is None:
        return np.inf
    return reach.time_s if reach.interpolated_s is None else reach.interpolated_s


def seconds_to(target: float, goal: Goal) -> Measure:
    """Submission seconds to another target than the rules'."""

    def measure(attempt: Attempt) -> float:
        row = first_at(attempt.best_so_far, target, goal)
        return np.inf if row is None else row.time_s

    return measure


def trial_cube(
    runtimes: Runtimes,
    submissions: Sequence[str],
    rules: Rules,
    measure: Measure = seconds_to_target,
) -> np.ndarray:
    """[submissions, needed workloads, studies, trials] of a measure."""
    trials = max(rules.trials_external, rules.trials_self)
    shape = (len(submissions), len(rules.needed), rules.studies, trials)
    cube = np.full(shape, np.inf)
    for row, submission in enumerate(submissions):
        for column, rule in enumerate(rules.needed):
            for study in runtimes.results[submission, rule.name].studies:
                for place, attempt in enumerate(study.attempts):
                    cube[row, column, study.study, place] = measure(attempt)
    return cube


def steps_cube(
    runtimes: Runtimes, submissions: Sequence[str], rules: Rules
) -> np.ndarray | None:
    """The fewest steps of each study, [submissions, needed workloads, studies].

    None if a target was reached at a step that the logs do not have, or at step 0:
    there are no ratios to nothing.
    """
    steps = trial_cube(runtimes, submissions, rules, steps_to_target)
    usable = not np.isnan(steps).any() and bool((steps > 0).all())
    return steps.min(axis=-1) if usable else None


def study_gains(
    study_values: np.ndarray, rules: Rules, by_trapezoid: bool = False
) -> np.ndarray:
    """What every workload adds to the score, [..., submissions, scored workloads].

    The benchmark score is the mean over the last axis.

    Args:
      study_values: the fastest of each study, [..., submissions, needed workloads,
        studies].
    """
    return median_gains(profiles.medians(study_values), rules, by_trapezoid)


def median_gains(
    medians: np.ndarray, rules: Rules, by_trapezoid: bool = False
) -> np.ndarray:
    """The same from the medians, [..., submissions, needed workloads]."""
    ratios = profiles.ratios_to_best(profiles.counted_seconds(medians, rules))
    return profiles.gains(ratios, rules.tau_max, by_trapezoid)
