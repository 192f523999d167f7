"""Two submissions, workload by workload: how much faster, and whether that is sure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scoring.scoreboard import Scoreboard
from scoring.speedup import Speedup, speedups
from scoring.statistics import Interval, Resamples, quantile_interval, separated

Verdict = Literal["a", "b", "not separated", "neither reached the target"]


@dataclass(frozen=True)
class WorkloadComparison:
    """`speedup` is how many times faster a is than b; a missed target stands in as
    the budget. `study_times_s` are those of the fastest trials, infinite if missed.
    """

    workload: str
    a_time_s: float
    b_time_s: float
    a_study_times_s: tuple[float, ...]
    b_study_times_s: tuple[float, ...]
    speedup: float
    interval: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """a against b. `score_difference` is a's score less b's, on this leaderboard.

    Without spread (`has_spread`: more than one study) intervals are points and say
    nothing; then no verdict is "a" or "b".
    """

    a: str
    b: str
    workloads: tuple[WorkloadComparison, ...]
    speedup: Speedup
    score_difference: float
    score_interval: Interval
    a_beats_b: float
    b_beats_a: float
    verdict: Verdict
    speedup_verdict: Verdict
    has_spread: bool


def compare(board: Scoreboard, resamples: Resamples, a: str, b: str) -> Comparison:
    """Compares two submissions of a leaderboard, with intervals from its resamples."""
    over_b = next(own for own in speedups(board, resamples, b) if own.submission == a)
    scores = {entry.submission: entry.score for entry in board.entries}
    row_a, row_b = (resamples.submissions.index(name) for name in (a, b))
    drawn_a, drawn_b = resamples.scores[:, row_a], resamples.scores[:, row_b]
    # A single study has no spread, from which nothing follows.
    has_spread = board.rules.studies > 1
    if has_spread and separated(resamples.scores)[row_a, row_b]:
        verdict: Verdict = "a" if scores[a] > scores[b] else "b"
    else:
        verdict = "not separated"
    return Comparison(
        a,
        b,
        tuple(
            _workload(board, over_b, workload, has_spread)
            for workload in board.rules.names
        ),
        over_b,
        scores[a] - scores[b],
        quantile_interval(drawn_a - drawn_b),
        float((drawn_a > drawn_b).mean()),
        float((drawn_b > drawn_a).mean()),
        verdict,
        _verdict(over_b.interval, has_spread),
        has_spread,
    )


def _workload(
    board: Scoreboard, over_b: Speedup, workload: str, has_spread: bool
) -> WorkloadComparison:
    pair = (over_b.submission, over_b.reference)
    own, other = (board.runtimes.results[name, workload] for name in pair)
    interval = over_b.intervals[workload]
    neither = not np.isfinite([own.time_s, other.time_s]).any()
    return WorkloadComparison(
        workload,
        own.time_s,
        other.time_s,
        own.study_times_s,
        other.study_times_s,
        over_b.by_workload[workload],
        interval,
        "neither reached the target" if neither else _verdict(interval, has_spread),
    )


def _verdict(speedup: Interval, has_spread: bool) -> Verdict:
    if not has_spread or speedup.low <= 1 <= speedup.high:
        return "not separated"
    return "a" if speedup.low > 1 else "b"
