"""Trials to seconds: the first row at the target, the fastest trial, the median."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scoring.early_stops import notes_on_beaten, notes_on_caps, notes_on_predictions
from scoring.health import HealthNote
from scoring.load import Framework, Logs, TrialRecord
from scoring.profiles import Table, medians
from scoring.reach import (
    Reach,
    best_so_far,
    find_reach,
    notes_about,
    rows_that_count,
)
from scoring.rows import EvalRow, EvalRows
from scoring.rules import Rules, Ruleset, WorkloadRule


@dataclass(frozen=True)
class Attempt:
    """One planned trial: the rows that improved on all before, and the target."""

    trial: TrialRecord
    best_so_far: EvalRows
    reach: Reach | None


@dataclass(frozen=True)
class StudyResult:
    """One study of one workload; `fastest` is None if no trial reached the target.

    `trials` is how many there are, `attempts` are the planned ones among them.
    """

    study: int
    trials: int
    attempts: tuple[Attempt, ...]
    fastest: Reach | None

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """Of the trials that reached the target, by trial."""
        return tuple(a.reach for a in self.attempts if a.reach is not None)


@dataclass(frozen=True)
class WorkloadResult:
    """One submission on one workload, with every planned study.

    `time_s` and `step` are medians over the planned studies (the mean of the middle
    two of an even number), a study that did not reach the target being infinite.
    Steps are those of the trials that were fastest in seconds, NaN if the logs have
    none.
    """

    submission: str
    workload: str
    framework: Framework | None
    studies: tuple[StudyResult, ...]

    @property
    def time_s(self) -> float:
        """Median over the planned studies."""
        return float(medians(np.array(self.study_times_s)))

    @property
    def step(self) -> float:
        """Median over the planned studies of the steps of the fastest trials."""
        fastest = [study.fastest for study in self.studies]
        steps = np.array([math.inf if r is None else step_of(r) for r in fastest])
        return math.nan if np.isnan(steps).any() else float(medians(steps))

    @property
    def study_times_s(self) -> tuple[float, ...]:
        """Seconds of the fastest trial of every planned study, infinite if none."""
        return tuple(
            math.inf if study.fastest is None else study.fastest.time_s
            for study in self.studies
        )


@dataclass(frozen=True)
class Runtimes:
    """All results by (submission, workload), and what was odd on the way."""

    results: dict[tuple[str, str], WorkloadResult]
    notes: tuple[HealthNote, ...]

    def table(self, submissions: Iterable[str], workloads: Iterable[str]) -> Table:
        """Seconds to target, submissions by workloads; infinite if not reached."""
        rows, columns = tuple(submissions), tuple(workloads)
        times = [[self.results[s, w].time_s for w in columns] for s in rows]
        values = np.array(times, dtype=float).reshape(len(rows), len(columns))
        return Table(rows, columns, values)


def per_workload_runtimes(logs: Logs, rules: Rules) -> Runtimes:
    """Every submission on every workload that the rules need."""
    trials: dict[tuple[str, str], list[TrialRecord]] = {}
    for trial in logs.trials:
        trials.setdefault((trial.submission, trial.workload), []).append(trial)
    results: dict[tuple[str, str], WorkloadResult] = {}
    notes: list[HealthNote] = []
    for submission, ruleset in sorted(logs.rulesets.items()):
        for rule in rules.needed:
            key = (submission, rule.name)
            own = trials.get(key, [])
            results[key], found = workload_result(submission, own, rule, rules, ruleset)
            notes += found
    for rule in rules.needed:
        own = [trial for trial in logs.trials if trial.workload == rule.name]
        times = [result.time_s for (_, w), result in results.items() if w == rule.name]
        notes += notes_on_caps(own, rules, min(times, default=math.inf))
        notes += notes_on_predictions(own)
    return Runtimes(results, tuple(notes))


def workload_result(
    submission: str,
    trials: list[TrialRecord],
    rule: WorkloadRule,
    rules: Rules,
    ruleset: Ruleset,
) -> tuple[WorkloadResult, list[HealthNote]]:
    """The median over the planned studies (0 to S-1) of the fastest trial.

    The plan is by number and not by what is there: who runs more studies must not
    choose among them, and who runs fewer has infinite ones.
    """
    notes: list[HealthNote] = []
    by_study: dict[int, list[TrialRecord]] = {}
    for trial in sorted(trials, key=lambda trial: (trial.study, trial.trial)):
        by_study.setdefault(trial.study, []).append(trial)
    studies = []
    for study in range(rules.studies):
        own = by_study.pop(study, [])
        result, found = _study_result(study, own, rule, rules, ruleset)
        studies.append(result)
        notes += found
        if trials and not own:
            at = f"{submission}/study_{study}/{rule.name}"
            notes.append(HealthNote(at, "study missing", "counted as not reached"))
    for study in sorted(by_study):
        at = f"{submission}/study_{study}/{rule.name}"
        detail = f"planned: study_0 to study_{rules.studies - 1}"
        notes.append(HealthNote(at, "study not planned", "folder ignored", detail))
    if not trials:
        what = "no logs of this workload"
        at = f"{submission}/*/{rule.name}"
        notes.append(HealthNote(at, what, "counted as not reached"))
    framework = trials[0].framework if trials else None
    result = WorkloadResult(submission, rule.name, framework, tuple(studies))
    return result, notes


def step_of(row: Reach | EvalRow) -> float:
    """The step of a row, NaN where it could not be read."""
    return math.nan if row.step is None else row.step


def _study_result(
    study: int,
    trials: list[TrialRecord],
    rule: WorkloadRule,
    rules: Rules,
    ruleset: Ruleset,
) -> tuple[StudyResult, list[HealthNote]]:
    planned = rules.trials(ruleset)
    notes: list[HealthNote] = []
    if 0 < len(trials) < planned:
        where = trials[0].where.rpartition("/")[0]
        count = f"{len(trials)} of {planned}"
        what = "fewer trials than planned"
        notes.append(HealthNote(where, what, "counted as not reached", count))
    # A trial too many is an attempt too many: the first ones by number count.
    for extra in trials[planned:]:
        what = f"more trials than the {planned} planned"
        notes.append(HealthNote(extra.where, what, "folder ignored"))
    budget_s = rules.budget_s(rule, ruleset)
    attempts = []
    for trial in trials[:planned]:
        counting = rows_that_count(trial.rows, budget_s)
        reach = find_reach(trial.trial, rule, counting)
        attempts.append(Attempt(trial, best_so_far(counting, rule.goal), reach))
        notes += notes_about(trial, rule, budget_s, reach)
    reaches = [attempt.reach for attempt in attempts if attempt.reach is not None]
    notes += notes_on_beaten(trials[:planned], reaches)
    fastest = min(reaches, key=lambda r: (r.time_s, r.trial), default=None)
    return StudyResult(study, len(trials), tuple(attempts), fastest), notes
