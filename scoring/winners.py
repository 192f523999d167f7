"""The trial that won each study, with the hyperparameters it was given."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.reach import Reach
from scoring.scoreboard import Scoreboard

HPARAMS_FILE = "hparams.json"


@dataclass(frozen=True)
class Winner:
    """`hyperparameters` is None where hparams.json is missing or unreadable."""

    submission: str
    workload: str
    study: int
    reach: Reach
    hyperparameters: dict[str, Any] | None


def find_winners(board: Scoreboard, root: Path) -> tuple[Winner, ...]:
    """The fastest trial of every study that reached a target.

    Args:
      root: the folder that the logs were read from; only the winners' hparams.json
        are read.
    """
    found = []
    for result in board.runtimes.results.values():
        for study in result.studies:
            for attempt in study.attempts:
                if study.fastest is not None and attempt.reach is study.fastest:
                    path = root / attempt.trial.where / HPARAMS_FILE
                    winner = Winner(
                        result.submission,
                        result.workload,
                        study.study,
                        study.fastest,
                        _hyperparameters(path),
                    )
                    found.append(winner)
    return tuple(found)


def _hyperparameters(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
