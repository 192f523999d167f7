"""Trials to seconds: the first row at the target, the fastest trial, the median."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from algoperf.facts import reached
from scoring.eval_rows import EvalRow
from scoring.health import Effect, HealthNote
from scoring.load import Framework, Logs, TrialRecord
from scoring.profiles import Table
from scoring.rules import Rules, Ruleset, WorkloadRule


@dataclass(frozen=True)
class Reach:
    """The row at which a trial reached the target first."""

    trial: int
    row: int
    step: int | None
    time_s: float
    value: float


@dataclass(frozen=True)
class StudyResult:
    """One study of one workload; `fastest` is None if no trial reached the target."""

    study: int
    trials: int
    reaches: tuple[Reach, ...]
    fastest: Reach | None


@dataclass(frozen=True)
class WorkloadResult:
    """One submission on one workload, with every planned study.

    `time_s` and `step` are medians over the planned studies (numpy's: the mean of
    the middle two of an even number), a study that did not reach the target being
    infinite. `step` is NaN if the logs have no steps.
    """

    submission: str
    workload: str
    framework: Framework | None
    studies: tuple[StudyResult, ...]
    time_s: float
    step: float


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
    fastest = [study.fastest for study in studies]
    result = WorkloadResult(
        submission,
        rule.name,
        framework,
        tuple(studies),
        time_s=_median([reach.time_s if reach else math.inf for reach in fastest]),
        step=_median([_step(reach) for reach in fastest]),
    )
    return result, notes


def _step(reach: Reach | None) -> float:
    if reach is None:
        return math.inf
    return math.nan if reach.step is None else reach.step


def _median(values: list[float]) -> float:
    # numpy warns about inf - inf inside an even median; the mean is right anyway.
    with np.errstate(invalid="ignore"):
        return float(np.median(values))


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
    reaches = []
    for trial in trials[:planned]:
        reach, found = first_reach(trial, rule, rules.budget_s(rule, ruleset))
        notes += found
        if reach is not None:
            reaches.append(reach)
    fastest = min(reaches, key=lambda r: (r.time_s, r.trial), default=None)
    return StudyResult(study, len(trials), tuple(reaches), fastest), notes


def first_reach(
    trial: TrialRecord, rule: WorkloadRule, budget_s: float
) -> tuple[Reach | None, list[HealthNote]]:
    """The first row, in file order, at the target within the budget.

    Equality counts, for the target and for the budget; NaN, infinite values and
    times <= 0 never do. Rows after the first one at the target change nothing.
    """

    def at_target(row: EvalRow) -> bool:
        return math.isfinite(row.value) and reached(
            row.value, rule.validation_target, rule.goal
        )

    hits = [row for row in trial.rows if at_target(row)]
    valid = [row for row in hits if 0 < row.time_s <= budget_s]
    notes = _notes_about(trial, rule, budget_s, hits, valid)
    if not valid:
        return None, notes
    row = valid[0]
    return Reach(trial.trial, row.row, row.step, row.time_s, row.value), notes


def _notes_about(
    trial: TrialRecord,
    rule: WorkloadRule,
    budget_s: float,
    hits: list[EvalRow],
    valid: list[EvalRow],
) -> list[HealthNote]:
    notes: list[HealthNote] = []
    lost: Effect = "nothing" if valid else "counted as not reached"
    hit_numbers = {row.row for row in hits}

    def note(what: str, effect: Effect, rows: list[EvalRow]) -> None:
        if rows:
            count = f"{len(rows)} of {len(trial.rows)} rows, first: row {rows[0].row}"
            notes.append(HealthNote(trial.where, what, effect, count))

    def rejects(rows: list[EvalRow]) -> bool:
        return any(row.row in hit_numbers for row in rows)

    odd = [row for row in trial.rows if not math.isfinite(row.value)]
    note(f"NaN in {rule.column}", lost, odd)
    early = [row for row in trial.rows if row.time_s <= 0]
    note("time <= 0", "row ignored" if rejects(early) else "nothing", early)
    late = [row for row in trial.rows if row.time_s > budget_s]
    note("rows beyond the budget", lost if rejects(late) else "nothing", late)
    if valid:
        after = [row for row in trial.rows if row.row > valid[0].row]
        note("trained on after the target", "nothing", after)
        below = [row for row in after if row.row not in hit_numbers]
        note("fell back after the target", "nothing", below)
    return notes
