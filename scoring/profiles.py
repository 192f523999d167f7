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

    Dahl et al. (2023), held-out workloads: a time counts only if the submission also
    reached the target of the held-out variant, in time. In this order:

    1. where the base workload was not reached, its held-out one is not either;
    2. per workload, times above `far_factor` times the best do not count (equality
       does); the best still includes submissions that step 3 takes out;
    3. where a held-out workload was not reached, its base workload is not either.

    Args:
      times: seconds, infinite where not reached, of the scored and the held-out
        workloads; a held-out one without a column counts as not reached.
    """
    _check(times)
    columns = {name: times.column(name).copy() for name in times.columns}
    for variant in rules.held_out:
        guard = columns.setdefault(variant.name, np.full(len(times.rows), np.inf))
        guard[np.isinf(columns[variant.base])] = np.inf
    for seconds in columns.values():
        seconds[seconds > rules.far_factor * _best(seconds)] = np.inf
    for variant in rules.held_out:
        columns[variant.base][np.isinf(columns[variant.name])] = np.inf
    values = np.stack([columns[name] for name in rules.names], axis=1)
    return Table(times.rows, rules.names, values)


def performance_ratios(times: Table) -> Table:
    """r = time / best time of the workload; infinite where it was not reached.

    Raises:
      UserError: a time that is not positive, or NaN.
    """
    _check(times)
    ratios = np.full(times.values.shape, np.inf)
    reached = np.isfinite(times.values)
    best = np.broadcast_to(_best(times.values), times.values.shape)
    np.divide(times.values, best, out=ratios, where=reached)
    return Table(times.rows, times.columns, ratios)


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
    gains = np.maximum(0.0, tau_max - ratios.values)
    return gains.sum(axis=1) / (len(ratios.columns) * (tau_max - 1.0))


def trapezoid_scores(ratios: Table, tau_max: float) -> np.ndarray:
    """The same area by the trapezoidal rule on 100 points, as it was published.

    It differs from `benchmark_scores` by at most half a grid step, 1/198.
    """
    taus = np.linspace(1.0, tau_max, TRAPEZOID_POINTS)
    profiles = performance_profiles(ratios, taus.tolist())
    return np.trapezoid(profiles, taus, axis=1) / (tau_max - 1.0)


def ranks(scores: np.ndarray) -> tuple[int, ...]:
    """1 for the best score; equal scores share the better rank."""
    return tuple(1 + int((scores > score).sum()) for score in scores)


def _best(seconds: np.ndarray) -> np.ndarray:
    return seconds.min(axis=0, initial=np.inf)


def _check(times: Table) -> None:
    bad = ~(times.values > 0)  # NaN too
    for row, column in np.argwhere(bad)[:1]:
        raise UserError(
            f"time of {times.rows[row]!r} on {times.columns[column]!r} is "
            f"{times.values[row, column]}: times to target are above 0 seconds, and "
            "infinite where the target was not reached. Correct the logs."
        )
