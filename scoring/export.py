"""What `algoperf score` writes: scores.json with everything, leaderboard.csv."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import records
from algoperf.facts import UserError
from scoring.folders import SCORES_FILE
from scoring.profiles import TRAPEZOID_POINTS
from scoring.report import remarks
from scoring.runtimes import StudyResult, WorkloadResult
from scoring.scoreboard import Scoreboard

LEADERBOARD_FILE = "leaderboard.csv"


def write_scores(board: Scoreboard, folder: Path) -> tuple[Path, Path]:
    """Writes both files into `folder`, each of them whole or not at all.

    Raises:
      UserError: the folder cannot be made or written.
    """
    files = {
        SCORES_FILE: records.json_text(as_dict(board)),
        LEADERBOARD_FILE: leaderboard_csv(board),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            records.write_text(folder / name, text)
    except OSError as error:
        raise UserError(
            f"cannot write scores into {folder}: {error.strerror or error}. "
            "--output_dir names a folder that can be written."
        ) from None
    return folder / SCORES_FILE, folder / LEADERBOARD_FILE


def leaderboard_csv(board: Scoreboard) -> str:
    """The leaderboard, scores in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["rank", "submission", "ruleset", "score", "workloads_reached", "workloads"]
    )
    for entry in board.entries:
        row = [entry.rank, entry.submission, entry.ruleset, entry.score]
        writer.writerow([*row, entry.workloads_reached, len(board.rules.names)])
    return text.getvalue()


def as_dict(board: Scoreboard) -> dict[str, Any]:
    """Everything behind the scores as strict JSON values; infinity and NaN are null.

    Times are submission seconds; `row` counts the rows of a trial's file from 0.
    """
    taus = np.linspace(1.0, board.rules.tau_max, TRAPEZOID_POINTS).tolist()
    profile = board.profile(taus)
    tree = {
        "rules": asdict(board.rules),
        "score_is": "trapezoid" if board.by_trapezoid else "exact integral",
        "leaderboard": [asdict(entry) for entry in board.entries],
        "workloads": {
            name: {
                rule.name: _workload(board, board.runtimes.results[name, rule.name])
                for rule in board.rules.needed
            }
            for name in board.submissions
        },
        "profile": {
            "taus": taus,
            "rho": dict(zip(profile.rows, profile.values.tolist(), strict=True)),
        },
        "health": [asdict(note) for note in board.notes],
        "notes": remarks(board),
    }
    return records.finite(tree)


def _workload(board: Scoreboard, result: WorkloadResult) -> dict[str, Any]:
    scored = result.workload in board.counted.columns
    key = (result.submission, result.workload)
    return {
        "framework": result.framework,
        "time_s": result.time_s,
        "step": result.step,
        # A held-out workload has no ratio: it only guards its base workload.
        "counted_time_s": board.counted[key] if scored else None,
        "ratio": board.ratios[key] if scored else None,
        "studies": [_study(study) for study in result.studies],
    }


def _study(study: StudyResult) -> dict[str, Any]:
    return {
        "study": study.study,
        "trials": study.trials,
        "time_s": study.fastest.time_s if study.fastest else None,
        "fastest": asdict(study.fastest) if study.fastest else None,
        "reached": [asdict(reach) for reach in study.reaches],
    }
