"""Seconds to scores: ratios, performance profiles and the benchmark score.

Performance profiles: Dolan and Moré, "Benchmarking optimization software with
performance profiles" (2002). Their use for training algorithms, the score and its
held-out rules: Dahl et al., "Benchmarking Neural Network Training Algorithms" (2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algoperf.facts import UserError
from scoring.rules import Rules

TRAPEZOID_POINTS = 100


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers by submission (rows) and workload (columns)."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.columns))
        if self.values.shape != shape:
            raise ValueError(f"values of shape {self.values.shape} are not {shape}")

    def __getitem__(self, key: tuple[str, str]) -> float:
        row, column = key
        return float(self.values[self.rows.index(row), self.columns.index(column)])

    def column(self, name: str) -> np.ndarray:
        """The values of one workload, in the order of `rows`."""
        return self.values[:, self.columns.index(name)]


def filtered_times(times: Table, rules: Rules) -> Table:
    """Seconds of the scored workloads that still count, the others infinite.

    `counted_seconds` for a table: columns of the scored and the held-out workloads,
    in any order; a held-out one without a column counts as not reached.
    """
    _check(times)
    missing = np.full(len(times.rows), np.inf)
    columns = [
        times.column(rule.name) if rule.name in times.columns else missing
        for rule in rules.needed
    ]
    values = np.stack(columns, axis=1)
    return Table(times.rows, rules.names, counted_seconds(values, rules))


def counted_seconds(seconds: np.ndarray, rules: Rules) -> np.ndarray:
    """Seconds that still count, [..., submissions, scored workloads].

    Dahl et al. (2023), held-out workloads: a time counts only if the submission also
    reached the target of the held-out variant, in time. In this order:

    1. where the base workload was not reached, its held-out one is not either;
    2. per workload, times above `far_factor` times the best do not count (equality
       does); the best still includes submissions that step 3 takes out;
    3. where a held-out workload was not reached, its base workload is not either.

    Args:
      seconds: infinite where not reached; [..., submissions, workloads], the
        workloads in the order of `rules.needed`.
    """
    counted = seconds.copy()
    place = {rule.name: column for column, rule in enumerate(rules.needed)}
    guards = [(place[rule.name], place[rule.base]) for rule in rules.held_out]
    for held_out, base in guards:
        counted[..., held_out][np.isinf(counted[..., base])] = np.inf
    counted[counted > rules.far_factor * _best(counted)] = np.inf
    for held_out, base in guards:
        counted[..., base][np.isinf(counted[..., held_out])] = np.inf
    return counted[..., : len(rules.workloads)]


def performance_ratios(times: Table) -> Table:
    """r = time / best time of the workload; infinite where it was not reached.

    Raises:
      UserError: a time that is not positive, or NaN.
    """
    _check(times)
    return Table(times.rows, times.columns, ratios_to_best(times.values))


def ratios_to_best(seconds: np.ndarray) -> np.ndarray:
    """r for [..., submissions, workloads]; infinite where seconds are."""
    ratios = np.full(seconds.shape, np.inf)
    np.divide(seconds, _best(seconds), out=ratios, where=np.isfinite(seconds))
    return ratios


def performance_profiles(ratios: Table, taus: Sequence[float]) -> np.ndarray:
    """rho(tau): the share of workloads with r <= tau, [submissions, taus].

    Dolan and Moré (2002). A workload that nobody reached counts 0 for all.
    """
    within = ratios.values[:, :, None] <= np.asarray(taus, dtype=float)
    return within.mean(axis=1)


def benchmark_scores(ratios: Table, tau_max: float) -> np.ndarray:
    """The area under rho from 1 to tau_max, divided by tau_max - 1: one per submission.

    Dahl et al. (2023). rho is a step function, so the integral is exact:
    B = sum over the n workloads of max(0, tau_max - r) / (n (tau_max - 1)).
    """
    return gains(ratios.values, tau_max).mean(axis=-1)


def trapezoid_scores(ratios: Table, tau_max: float) -> np.ndarray:
    """The same area by the trapezoidal rule on 100 points, as it was published.

    It differs from `benchmark_scores` by at most half a grid step, 1/198.
    """
    return gains(ratios.values, tau_max, by_trapezoid=True).mean(axis=-1)


def gains(ratios: np.ndarray, tau_max: float, by_trapezoid: bool = False) -> np.ndarray:
    """What each workload adds to n times the score, 0 to 1; the shape of `ratios`."""
    if not by_trapezoid:
        return np.maximum(0.0, tau_max - ratios) / (tau_max - 1.0)
    taus = np.linspace(1.0, tau_max, TRAPEZOID_POINTS)
    # One workload's profile is 0 before r and 1 from r on: points that lie on r or
    # after it have the weight 1, the first and the last of the grid one half.
    before = np.searchsorted(taus, ratios, side="left")
    inside = TRAPEZOID_POINTS - before - 0.5 * (before == 0) - 0.5
    return np.maximum(0.0, inside) / (TRAPEZOID_POINTS - 1)


def ranks(scores: np.ndarray) -> tuple[int, ...]:
    """1 for the best score; equal scores share the better rank."""
    return tuple(1 + int((scores > score).sum()) for score in scores)


def medians(study_seconds: np.ndarray) -> np.ndarray:
    """Medians over the last axis, of infinite values too.

    numpy's median, the mean of the middle two of an even number, without its warning
    about inf - inf.
    """
    ordered = np.sort(study_seconds, axis=-1)
    count = ordered.shape[-1]
    low, high = ordered[..., (count - 1) // 2], ordered[..., count // 2]
    return low if count % 2 else (low + high) / 2


def _best(seconds: np.ndarray) -> np.ndarray:
    return seconds.min(axis=-2, initial=np.inf, keepdims=True)


def _check(times: Table) -> None:
    bad = ~(times.values > 0)  # NaN too
    for row, column in np.argwhere(bad)[:1]:
        raise UserError(
            f"time of {times.rows[row]!r} on {times.columns[column]!r} is "
            f"{times.values[row, column]}: times to target are above 0 seconds, and "
            "infinite where the target was not reached. Correct the logs."
        )
