"""Ends a trial that cannot change a score any more, or hardly will.

All rules are off by default. Two follow from how scores are made, whatever the trial
would still do:

* A study counts its fastest trial alone. Once a trial has spent more submission
  seconds than a sibling needed to reach the target, every evaluation to come is later
  than the sibling's, and so cannot be the fastest.
* A ratio above tau_max = 4 adds nothing to a score. Once a trial has spent more than
  four times a reference time that is at least the best of its workload, it cannot
  come below that. (The median of an even number of studies is a mean of two, to which
  this does not apply.)

A third one guesses from how the trial looks, and may be wrong: `prediction.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.cluster import Hosts
from algoperf.facts import Facts
from algoperf.limits import Limits
from algoperf.prediction import predicted_value
from algoperf.progress import Progress

TAU_MAX = 4.0
# Every published version of the rules counts the first five trials of a study.
_ALWAYS_COUNTED = 5
# What the trials of a study may differ in.
_OWN_SETTINGS = ("seed", "hyperparameters")


@dataclass(frozen=True)
class Deadline:
    """Submission seconds after which a trial cannot matter, and why not."""

    after_s: float
    why: Mapping[str, Any]


Find = Callable[[Progress], Deadline | None]


class EarlyStop:
    """The earliest of some deadlines, which may come nearer while the trial runs."""

    def __init__(self, find: Sequence[Find] = ()):
        self._find = find
        self._deadline: Deadline | None = None

    def look(self, progress: Progress) -> None:
        """Asks for the deadlines again; it reads files, so the clock has to stand."""
        asked = (find(progress) for find in self._find)
        found = [deadline for deadline in asked if deadline is not None]
        self._deadline = min(found, key=lambda one: one.after_s, default=None)

    def applied(self, progress: Progress, submission_s: float) -> Progress:
        """The same progress, ended if the deadline is passed."""
        deadline = self._deadline
        if progress.outcome is not None or deadline is None:
            return progress
        if submission_s <= deadline.after_s:
            return progress
        return replace(
            progress, outcome="stopped early", stopped_early=dict(deadline.why)
        )


def cap(reference_s: float) -> Deadline:
    """The deadline at tau_max times a reference time."""
    return Deadline(
        TAU_MAX * reference_s,
        {"reason": "cap", "reference_s": reference_s, "factor": TAU_MAX},
    )


def hopeless(facts: Facts, limits: Limits, progress: Progress) -> Deadline | None:
    """The present, if the learning curve says that the target will be missed."""
    value = predicted_value(facts, limits, progress)
    if value is None or facts.reached_validation(value):
        return None
    why = {"reason": "predicted", "value": value, "target": facts.validation_target}
    return Deadline(progress.last_eval_submission_s, why)


def beaten(folder: Path, settings: Mapping[str, Any]) -> Deadline | None:
    """The time of the fastest sibling that reached the target; None without one.

    A sibling has to count wherever this trial counts: by rules that take the first n
    trials of a study, those are the ones before it. The first five count by every
    published rule. It also has to be a trial of the same submission under the same
    limits.

    Args:
      folder: of the trial that may be beaten; its siblings are beside it.
      settings: its settings, as in `trial.json`.
    """
    found: list[Deadline] = []
    own = _number(folder)
    for sibling in folder.parent.glob("trial_*"):
        number = _number(sibling)
        if number is None or own is None or number == own:
            continue
        if number > own and number > _ALWAYS_COUNTED:
            continue
        time_s = _time_to_target(sibling, settings)
        if time_s is None:
            continue
        why = {"reason": "beaten", "by_trial": number, "submission_s": time_s}
        found.append(Deadline(time_s, why))
    return min(found, key=lambda one: one.after_s, default=None)


def _time_to_target(folder: Path, settings: Mapping[str, Any]) -> float | None:
    """Submission seconds in which a trial of these settings reached the target.

    None if it has not, and for what cannot be read: a damaged sibling must not end
    the trial that looks at it.
    """
    try:
        record: Any = records.read_json(folder / records.TRIAL)
        if record["outcome"] != "reached":
            return None
        if _shared(record["settings"]) != _shared(settings):
            return None
        return float(record["reached"]["submission_s"])
    except (OSError, TypeError, KeyError, ValueError, AttributeError):
        return None


def _number(folder: Path) -> int | None:
    number = folder.name.removeprefix("trial_")
    return int(number) if number.isdecimal() else None


def _shared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that all trials of a study have, as JSON stores them."""
    return records.finite(
        {name: own for name, own in settings.items() if name not in _OWN_SETTINGS}
    )


def early_stop_of(
    folder: Path,
    settings: Mapping[str, Any],
    when_beaten: bool,
    reference_s: float | None,
    hosts: Hosts,
    when_hopeless: tuple[Facts, Limits] | None = None,
) -> EarlyStop:
    """What may end the trial in `folder` because it cannot matter any more.

    Args:
      when_beaten: whether a faster sibling ends it, as the first process sees it.
      reference_s: of the cap; None without one.
      when_hopeless: what the prediction goes by, as the first process sees it; None
        without one.
    """

    def find_beaten(progress: Progress) -> Deadline | None:
        del progress
        return _agreed(hosts, lambda: beaten(folder, settings))

    find: list[Find] = [find_beaten] if when_beaten else []
    if reference_s is not None:
        deadline = cap(reference_s)
        find.append(lambda progress: deadline)
    if when_hopeless is not None:
        facts, limits = when_hopeless
        find.append(
            lambda progress: _agreed(hosts, lambda: hopeless(facts, limits, progress))
        )
    return EarlyStop(find)


def _agreed(hosts: Hosts, look: Callable[[], Deadline | None]) -> Deadline | None:
    """What the first process sees."""

    def find() -> list[Any] | None:
        found = look()
        return None if found is None else [found.after_s, dict(found.why)]

    agreed = hosts.agree(find)
    return None if agreed is None else Deadline(*agreed)
