"""A score report as plain JSON values: the schema of scores.json, docs/scores-json.md.

Infinity and NaN become null when it is written: a time that is null was not reached.
"""

import platform
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

import algoperf
from scoring.leaderboard import leaderboard_rows
from scoring.profiles import TRAPEZOID_POINTS, Table
from scoring.remarks import notes, warnings
from scoring.runtimes import StudyResult, WorkloadResult
from scoring.score_report import ScoreReport
from scoring.scoreboard import Scoreboard
from scoring.speedup import BUDGET_SHARES, LOOSENED
from scoring.statistics import LEVEL, Uncertainty

SCHEMA = "algoperf-scores"
# Raised when a key changes its meaning or goes; new keys do not raise it.
SCHEMA_VERSION = 1


def as_document(report: ScoreReport) -> dict[str, Any]:
    """Everything behind the scores.

    Times are submission seconds; `row` counts the rows of a trial's file from 0.
    """
    board = report.board
    return {
        "schema": {"name": SCHEMA, "version": SCHEMA_VERSION},
        "made_with": made_with(),
        "source": report.source,
        "rules": asdict(board.rules),
        "score_is": "trapezoid" if board.by_trapezoid else "exact integral",
        "leaderboard": leaderboard_rows(report),
        "workloads": _workloads(report),
        "profile": _profile(board),
        "uncertainty": _uncertainty(report),
        "sensitivity": _sensitivity(report),
        "speedup": {
            "reference": report.reference,
            "submissions": [asdict(speedup) for speedup in report.speedups],
        },
        "runlength": {
            "loosened": LOOSENED,
            "budget_shares": BUDGET_SHARES,
            "submissions": {
                own.submission: _without_name(own) for own in report.runlengths
            },
        },
        "steps": _steps(report),
        "pace": [asdict(pace) | {"uneven": pace.uneven} for pace in report.paces],
        "clock": [asdict(split) for split in report.clock_splits],
        "tuning": {
            "expected_scores": {
                own.submission: own.scores for own in report.tuning_curves
            }
        },
        "health": [asdict(note) for note in board.notes],
        "warnings": warnings(report),
        "notes": notes(report),
    }


def made_with() -> dict[str, str]:
    """The versions of what computes scores."""
    return {
        "algoperf": algoperf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _workloads(report: ScoreReport) -> dict[str, Any]:
    board = report.board
    hyperparameters = {
        (own.submission, own.workload, own.study): own.hyperparameters
        for own in report.winners
    }

    def study(result: WorkloadResult, own: StudyResult) -> dict[str, Any]:
        key = (result.submission, result.workload, own.study)
        return {
            "study": own.study,
            "trials": own.trials,
            "time_s": own.fastest.time_s if own.fastest else None,
            "fastest": asdict(own.fastest) if own.fastest else None,
            "hyperparameters": hyperparameters.get(key),
            "reached": [asdict(reach) for reach in own.reaches],
        }

    found: dict[str, Any] = defaultdict(dict)
    for name in board.submissions:
        for rule in board.rules.needed:
            result = board.runtimes.results[name, rule.name]
            found[name][rule.name] = {
                "framework": result.framework,
                "time_s": result.time_s,
                "step": result.step,
                **_counted(board, result),
                "studies": [study(result, own) for own in result.studies],
            }
    return found


def _counted(board: Scoreboard, result: WorkloadResult) -> dict[str, Any]:
    key = (result.submission, result.workload)
    # A held-out workload has no ratio: it only guards its base workload.
    scored = result.workload in board.counted.columns
    return {
        "counted_time_s": board.counted[key] if scored else None,
        "ratio": board.ratios[key] if scored else None,
    }


def _profile(board: Scoreboard) -> dict[str, Any]:
    taus = np.linspace(1.0, board.rules.tau_max, TRAPEZOID_POINTS).tolist()
    profile = board.profile(taus)
    rho = dict(zip(profile.rows, profile.values.tolist(), strict=True))
    return {"taus": taus, "rho": {name: rho[name] for name in board.submissions}}


def _uncertainty(report: ScoreReport) -> dict[str, Any]:
    def of(found: Iterable[Uncertainty]) -> dict[str, Any]:
        return {own.submission: _without_name(own) for own in found}

    return {
        "level": LEVEL,
        "resamples": len(report.resamples.scores),
        "seed": report.resamples.seed,
        "over_studies": of(report.over_studies),
        "over_studies_and_workloads": of(report.over_workloads),
        "separated": report.separated,
        "not_separated": report.not_separated,
    }


def _sensitivity(report: ScoreReport) -> list[dict[str, Any]]:
    return [
        {
            **asdict(summary),
            "variations": [
                asdict(own) for own in report.variations if own.kind == summary.kind
            ],
        }
        for summary in report.sensitivity
    ]


def _steps(report: ScoreReport) -> dict[str, Any] | None:
    steps = report.steps
    if steps is None:
        return None
    return {
        "scores": steps.scores,
        "ranks": steps.ranks,
        "medians": _by_name(steps.medians),
        "ratios": _by_name(steps.ratios),
    }


def _by_name(table: Table) -> dict[str, dict[str, float]]:
    return {
        row: dict(zip(table.columns, values, strict=True))
        for row, values in zip(table.rows, table.values.tolist(), strict=True)
    }


def _without_name(record: Any) -> dict[str, Any]:
    """A record as a dict, without the submission it is filed under."""
    plain = asdict(record)
    del plain["submission"]
    return plain
