"""Trials that the runner ended early: whether that is sure to have cost nothing.

`algoperf run` ends a trial that a faster sibling has beaten (`--stop_when_beaten`), or
that has spent tau_max times a reference time (`--reference_runtimes`), or that looks
hopeless (`--stop_when_hopeless`), and says so in trial.json. What it took for granted
is checked here against what is scored.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scoring.health import HealthNote
from scoring.load import TrialRecord
from scoring.reach import Reach
from scoring.rules import Rules


def notes_on_beaten(
    trials: Sequence[TrialRecord], reaches: Sequence[Reach]
) -> list[HealthNote]:
    """Trials of a study that were ended for a sibling that does not count here.

    Args:
      trials: those that count.
      reaches: of the trials among them that reached the target.
    """
    times = {reach.trial: reach.time_s for reach in reaches}
    notes: list[HealthNote] = []
    for trial in trials:
        why = _why(trial, "beaten")
        if why is None:
            continue
        time_s = times.get(why.get("by_trial", 0), math.inf)
        if time_s <= _number(why.get("submission_s")):
            continue
        what = "stopped early because of a faster trial that does not count here"
        detail = f"trial {why.get('by_trial')}"
        notes.append(HealthNote(trial.where, what, "counted as not reached", detail))
    return notes


def notes_on_caps(
    trials: Sequence[TrialRecord], rules: Rules, best_s: float
) -> list[HealthNote]:
    """Trials of one workload that could still have scored when they were capped.

    Args:
      trials: of all submissions on it.
      best_s: the best time of the workload, infinite if nobody reached the target.
    """
    notes: list[HealthNote] = []
    for trial in trials:
        why = _why(trial, "cap")
        if why is None:
            continue
        cap_s = _number(why.get("factor")) * _number(why.get("reference_s"))
        if rules.studies % 2 and cap_s >= rules.tau_max * best_s:
            continue
        what = "stopped early at a cap below which it could have scored"
        detail = (
            f"cap {cap_s:g} s, best time {best_s:g} s"
            if rules.studies % 2
            else f"cap {cap_s:g} s, {rules.studies} studies: an even number"
        )
        notes.append(HealthNote(trial.where, what, "counted as not reached", detail))
    return notes


def notes_on_predictions(trials: Sequence[TrialRecord]) -> list[HealthNote]:
    """Trials of one workload that were ended by a guess: nobody knows what they cost.

    Args:
      trials: of all submissions on it.
    """
    notes: list[HealthNote] = []
    for trial in trials:
        why = _why(trial, "predicted")
        if why is not None:
            what = "stopped early because its learning curve promised too little"
            detail = f"predicted {_number(why.get('value')):g} at the end of its budget"
            notes.append(
                HealthNote(trial.where, what, "counted as not reached", detail)
            )
    return notes


def _why(trial: TrialRecord, reason: str) -> Mapping[str, Any] | None:
    """Why a trial was ended early, if for this reason and without the target."""
    why = trial.stopped_early
    return why if why and why.get("reason") == reason else None


def _number(value: Any) -> float:
    """A number of trial.json; NaN, which compares with nothing, for what is none."""
    return float(value) if isinstance(value, int | float) else math.nan
