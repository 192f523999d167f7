"""The leaderboard as rows: for JSON, CSV, Markdown and pandas alike."""

from typing import Any

from scoring.score_report import ScoreReport
from scoring.speedup import Speedup
from scoring.statistics import Interval, Uncertainty


def leaderboard_rows(report: ScoreReport) -> list[dict[str, Any]]:
    """A row per submission, best first; None where there is nothing to say.

    `rank_1` is the share of resamples in which nobody scores higher. `score_low` and
    so on are over studies, `..._over_workloads` over studies and workloads.
    `time_saved` is the share of the reference's time that is not needed.
    """
    over_studies = {own.submission: own for own in report.over_studies}
    over_workloads = {own.submission: own for own in report.over_workloads}
    speedups = {own.submission: own for own in report.speedups}
    rows = []
    for entry in report.board.entries:
        name = entry.submission
        steps = report.steps
        rows.append(
            {
                "rank": entry.rank,
                "submission": name,
                "ruleset": entry.ruleset,
                "score": entry.score,
                **_of(over_studies.get(name), ""),
                "workloads_reached": entry.workloads_reached,
                "workloads": len(report.board.rules.names),
                "exact": entry.exact,
                "trapezoid": entry.trapezoid,
                **_of(over_workloads.get(name), "_over_workloads"),
                **_speedup(speedups.get(name)),
                "steps_score": None if steps is None else steps.scores[name],
                "steps_rank": None if steps is None else steps.ranks[name],
            }
        )
    return rows


def _of(found: Uncertainty | None, suffix: str) -> dict[str, Any]:
    return {
        **_ends("score", suffix, None if found is None else found.score),
        **_ends("rank", suffix, None if found is None else found.rank),
        f"rank_1{suffix}": None if found is None else found.rank_1,
    }


def _ends(name: str, suffix: str, interval: Interval | None) -> dict[str, Any]:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {f"{name}_low{suffix}": low, f"{name}_high{suffix}": high}


def _speedup(found: Speedup | None) -> dict[str, Any]:
    return {
        "speedup": None if found is None else found.geometric_mean,
        **_ends("speedup", "", None if found is None else found.interval),
        "time_saved": None if found is None else found.time_saved,
    }
