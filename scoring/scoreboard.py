"""From logs to scores, in order; everything a report or a statistic needs."""

from dataclasses import dataclass

import numpy as np

from scoring import profiles
from scoring.health import HealthNote
from scoring.load import Logs
from scoring.profiles import Table
from scoring.rules import Rules, Ruleset
from scoring.runtimes import Runtimes, per_workload_runtimes


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard. `score` is the one that ranks."""

    rank: int
    submission: str
    ruleset: Ruleset
    score: float
    exact: float
    trapezoid: float
    workloads_reached: int


@dataclass(frozen=True)
class Scoreboard:
    """Logs scored by rules. Tables: submissions by scored workloads.

    `times` are the medians in seconds before any filter (with the held-out
    workloads, if any), `counted` those after it, `ratios` are taken from `counted`.
    """

    rules: Rules
    logs: Logs
    runtimes: Runtimes
    times: Table
    counted: Table
    ratios: Table
    entries: tuple[Entry, ...]
    by_trapezoid: bool

    @property
    def notes(self) -> tuple[HealthNote, ...]:
        """Every irregularity of the logs, sorted."""
        return tuple(sorted({*self.logs.notes, *self.runtimes.notes}))

    @property
    def submissions(self) -> tuple[str, ...]:
        """The submissions, best first."""
        return tuple(entry.submission for entry in self.entries)

    def profile(self, taus: list[float]) -> Table:
        """rho(tau) of every submission, in the order of `ratios`."""
        values = profiles.performance_profiles(self.ratios, taus)
        return Table(self.ratios.rows, tuple(f"{tau:g}" for tau in taus), values)


def score_logs(logs: Logs, rules: Rules, by_trapezoid: bool = False) -> Scoreboard:
    """Scores all submissions of the logs against each other."""
    runtimes = per_workload_runtimes(logs, rules)
    needed = [rule.name for rule in rules.needed]
    times = runtimes.table(sorted(logs.rulesets), needed)
    counted = profiles.filtered_times(times, rules)
    ratios = profiles.performance_ratios(counted)
    return Scoreboard(
        rules,
        logs,
        runtimes,
        times,
        counted,
        ratios,
        _entries(logs, rules, ratios, by_trapezoid),
        by_trapezoid,
    )


def _entries(
    logs: Logs, rules: Rules, ratios: Table, by_trapezoid: bool
) -> tuple[Entry, ...]:
    exact = profiles.benchmark_scores(ratios, rules.tau_max)
    trapezoid = profiles.trapezoid_scores(ratios, rules.tau_max)
    scores = trapezoid if by_trapezoid else exact
    reached = np.isfinite(ratios.values).sum(axis=1)
    entries = [
        Entry(
            rank,
            submission,
            logs.rulesets[submission],
            float(scores[row]),
            float(exact[row]),
            float(trapezoid[row]),
            int(reached[row]),
        )
        for row, (submission, rank) in enumerate(
            zip(ratios.rows, profiles.ranks(scores), strict=True)
        )
    ]
    return tuple(sorted(entries, key=lambda entry: (entry.rank, entry.submission)))
