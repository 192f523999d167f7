"""Which trial of a study is shown, and what is said about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.reach import Reach
from scoring.rules import WorkloadRule
from scoring.runtimes import Attempt, StudyResult
from scoring.score_report import ScoreReport

# A longer list of hyperparameters than this is cut.
_MOST_HYPERPARAMETERS = 10

# The row of a study's fastest trial in the table of winners: page.js takes the
# hyperparameters from there. By submission, workload and study.
WinnerRows = Mapping[tuple[str, str, int], int]


@dataclass(frozen=True)
class Shown:
    """A study's fastest trial; if none reached the target, the one that came nearest.

    `text` says which and when; it does not name the submission.
    """

    attempt: Attempt
    text: str


def winner_rows(report: ScoreReport) -> WinnerRows:
    """Where in the table of winners are those whose hyperparameters are known."""
    return {
        (own.submission, own.workload, own.study): row
        for row, own in enumerate(report.winners)
        if own.hyperparameters
    }


def shown_trial(study: StudyResult, rule: WorkloadRule) -> Shown | None:
    """The trial that stands for a study; None where no trial has an evaluation."""
    with_rows = [own for own in study.attempts if len(own.best_so_far)]
    if not with_rows:
        return None
    if study.fastest is not None:
        chosen = next(own for own in with_rows if own.reach is study.fastest)
        own = study.fastest
        text = f"study {study.study}, trial {own.trial}: reached at {own.time_s:,.1f} s"
        return Shown(chosen, text)
    sign = 1 if rule.goal == "max" else -1
    chosen = max(with_rows, key=lambda own: sign * own.best_so_far.value[-1])
    nearest = chosen.best_so_far[-1]
    text = f"study {study.study} missed; trial {chosen.trial.trial} came nearest, "
    return Shown(chosen, f"{text}{nearest.value:.5g} at {nearest.time_s:,.1f} s")


def about_reach(study: int, reach: Reach) -> str:
    """When a target was reached, and the evaluation before it."""
    text = f"study {study}, trial {reach.trial}: {reach.time_s:,.1f} s"
    if reach.step is not None:
        text += f", step {reach.step:,}"
    text += f", {reach.value:.5g}"
    if reach.below is not None:
        text += f" (before: {before(reach)})"
    return text


def before(reach: Reach) -> str:
    """The last evaluation that missed the target: '0.1241 at 5,200.0 s'."""
    below = reach.below
    return "" if below is None else f"{below.value:.5g} at {below.time_s:,.1f} s"


def point_text(hyperparameters: dict[str, Any]) -> str:
    """'learning_rate 0.00131, beta2 0.998'."""
    items = list(hyperparameters.items())
    shown = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in items[:_MOST_HYPERPARAMETERS]
    )
    return shown + (", ..." if len(items) > _MOST_HYPERPARAMETERS else "")
