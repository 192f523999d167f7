"""Folders to trials: one pass over `<submission>/study_S/<workload>_jax/trial_N`."""

import gc
import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from scoring.eval_rows import EvalFile, read_rows
from scoring.findings import note_findings
from scoring.folders import EVAL_FILE, STUDY, TRIAL, Folders, find_submissions
from scoring.hardware import hardware_notes, rates_of
from scoring.health import HealthNote
from scoring.rows import NO_ROWS, EvalRows
from scoring.rules import Rules, Ruleset, WorkloadRule, closest, versions_with

Framework = Literal["jax", "pytorch"]

TRIAL_FILE = "trial.json"
ACCOUNTS = ("submission", "evaluation", "logging", "compile", "data_wait")
_WORKLOAD = re.compile(r"(.+)_(jax|pytorch)")
# What a runner leaves beside the folders.
_NORMAL_IN_STUDY = re.compile(r".*\.(json|log|lock)|\.keep")


@dataclass(frozen=True)
class TrialRecord:
    """One training run: its evaluations, in the order they were written."""

    submission: str
    study: int
    workload: str
    framework: Framework
    trial: int
    where: str
    ruleset: Ruleset | None  # what trial.json says; None without one
    outcome: str | None
    rows: EvalRows
    # By account; compile and data_wait are parts of submission.
    seconds: dict[str, float] = field(default_factory=dict)
    stopped_early: dict[str, Any] | None = None  # why, if the runner ended it
    # What a probe found of the machine, for every process of the trial.
    hardware: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class Logs:
    """Everything read below a submission directory.

    `rulesets` has every submission, also one without a trial that counts;
    `workloads_seen` has every workload folder's name, also those not scored, and
    `studies_seen` the number of every study folder.
    """

    trials: tuple[TrialRecord, ...]
    rulesets: dict[str, Ruleset]
    workloads_seen: frozenset[str]
    notes: tuple[HealthNote, ...]
    studies_seen: frozenset[int] = frozenset()


class _TrialFacts(NamedTuple):
    """What trial.json says."""

    ruleset: Ruleset | None = None
    outcome: str | None = None
    seconds: dict[str, float] = {}  # noqa: RUF012 - never changed
    stopped_early: dict[str, Any] | None = None
    hardware: tuple[dict[str, float], ...] = ()


@dataclass
class _Pass:
    """What is collected on the way."""

    folders: Folders
    wanted: dict[str, WorkloadRule]
    trials: list[TrialRecord] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    studies: set[int] = field(default_factory=set)


def load_logs(
    root: Path,
    rules: Rules,
    default_ruleset: Ruleset = "external",
    submissions: Iterable[str] | None = None,
) -> Logs:
    """Reads the submissions below `root`, in one pass and in sorted order.

    Args:
      root: the folder that holds one folder per submission.
      rules: workloads that they do not need are skipped unread.
      default_ruleset: of submissions whose trials have no trial.json.
      submissions: the names to read; all without.

    Raises:
      UserError: no folder, no submissions in it, or a submission it does not hold.
    """
    state = _Pass(Folders(root), {rule.name: rule for rule in rules.needed})
    rulesets: dict[str, Ruleset] = {}
    with _no_garbage_collection():
        for path in find_submissions(state.folders, submissions):
            first = len(state.trials)
            for study, folder in state.folders.numbered(path, STUDY):
                state.studies.add(study)
                _read_study(state, path.name, study, folder)
            own = state.trials[first:]
            rulesets[path.name] = _ruleset(state, path, own, default_ruleset)
            state.trials[first:] = _one_framework(state, path, own)
    return Logs(
        tuple(state.trials),
        rulesets,
        frozenset(state.seen),
        (*state.folders.notes, *hardware_notes(state.trials)),
        frozenset(state.studies),
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Reading makes many small objects and no cycles: to look for those takes as long
    as to read."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def only_ruleset(logs: Logs, ruleset: Ruleset) -> Logs:
    """The submissions of one ruleset, with their trials and notes."""
    kept = {name: own for name, own in logs.rulesets.items() if own == ruleset}
    dropped = logs.rulesets.keys() - kept.keys()
    return replace(
        logs,
        rulesets=kept,
        trials=tuple(trial for trial in logs.trials if trial.submission in kept),
        notes=tuple(
            note for note in logs.notes if note.where.split("/")[0] not in dropped
        ),
    )


def _read_study(state: _Pass, submission: str, study: int, folder: Path) -> None:
    for path in state.folders.scan(folder):
        if not path.is_dir():
            if not _NORMAL_IN_STUDY.fullmatch(path.name):
                state.folders.note(path, "stray file", "nothing")
            continue
        match = _WORKLOAD.fullmatch(path.name)
        if match is None:
            _note_foreign(state, path)
            continue
        workload, framework = match[1], cast(Framework, match[2])
        state.seen.add(workload)
        if workload not in state.wanted:
            _note_unscored(state, path, workload)
            continue
        for trial, trial_folder in state.folders.numbered(path, TRIAL):
            identity = (submission, study, workload, framework, trial)
            state.trials.append(_read_trial(state, trial_folder, identity))


def _note_foreign(state: _Pass, path: Path) -> None:
    if TRIAL.fullmatch(path.name):
        what = "trial folder outside of a workload folder"
    elif path.name in state.wanted:
        what = "workload folder without _jax or _pytorch in its name"
    else:
        what = "not a workload folder"
    state.folders.note(path, what, "folder ignored")


def _note_unscored(state: _Pass, path: Path, workload: str) -> None:
    versions = versions_with(workload)
    if versions:
        text = f"rule versions that know it: {', '.join(versions)}"
        state.folders.note(
            path, "workload that these rules do not score", "nothing", text
        )
    else:
        # It may be a misspelt workload: that would touch the score.
        hint = closest(workload, state.wanted).strip()
        state.folders.note(path, "unknown workload", "folder ignored", hint)


def _read_trial(
    state: _Pass, folder: Path, identity: tuple[str, int, str, Framework, int]
) -> TrialRecord:
    where = state.folders.where(folder)
    names = state.folders.names(folder)
    facts = _trial_facts(state, folder / TRIAL_FILE, TRIAL_FILE in names)
    if TRIAL_FILE not in names and not any(n.startswith("meta_data_") for n in names):
        state.folders.note(
            folder, "no metadata (trial.json, meta_data_0.json)", "nothing"
        )
    file = EvalFile(NO_ROWS)
    if EVAL_FILE in names:
        column = state.wanted[identity[2]].column
        file = read_rows(folder / EVAL_FILE, where, column)
        state.folders.notes.extend(file.notes)
    else:
        # measurements.csv is no substitute: its rows are not only evaluations.
        has = "measurements.csv is there" if "measurements.csv" in names else ""
        detail = f"outcome: {facts.outcome}" if facts.outcome else has
        state.folders.note(folder, f"no {EVAL_FILE}", "counted as not reached", detail)
    seconds = file.seconds | facts.seconds
    return TrialRecord(
        *identity,
        where,
        facts.ruleset,
        facts.outcome,
        file.rows,
        seconds,
        facts.stopped_early,
        facts.hardware,
    )


def _trial_facts(state: _Pass, path: Path, exists: bool) -> _TrialFacts:
    if not exists:
        return _TrialFacts()
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        ruleset, outcome = facts["tuning_ruleset"], facts.get("outcome")
        if ruleset not in get_args(Ruleset):
            raise ValueError(f"tuning_ruleset: {ruleset!r}")
        seconds = _finite_numbers(facts.get("seconds"))
        charged = (facts.get("settings") or {}).get("charge_compile", True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = "trial.json that cannot be used"
        state.folders.note(
            path, what, "ruleset assumed", f"{type(error).__name__}: {error}"
        )
        return _TrialFacts()
    note_findings(state.folders, path, facts)
    if charged is False:
        what = "compiling was not charged (--nocharge_compile)"
        state.folders.note(path, what, "time counted as written")
    early = facts.get("stopped_early")
    return _TrialFacts(
        ruleset,
        None if outcome is None else str(outcome),
        seconds,
        early if isinstance(early, dict) else None,
        rates_of(facts),
    )


def _finite_numbers(seconds: Any) -> dict[str, float]:
    """The accounts of the clock that can be read."""
    known = seconds if isinstance(seconds, dict) else {}
    return {
        account: float(known[account])
        for account in ACCOUNTS
        if isinstance(known.get(account), int | float) and math.isfinite(known[account])
    }


def _ruleset(
    state: _Pass, path: Path, trials: list[TrialRecord], default: Ruleset
) -> Ruleset:
    """A submission has one ruleset; of two, the one with the smaller budget."""
    found = {trial.ruleset for trial in trials} - {None}
    if len(found) > 1:
        what = "trials of both rulesets: ranked with the external budget"
        state.folders.note(path, what, "ruleset assumed")
        return "external"
    return cast(Ruleset, found.pop()) if found else default


def _one_framework(
    state: _Pass, path: Path, trials: list[TrialRecord]
) -> list[TrialRecord]:
    """The trials of one framework per workload: more trials win, then JAX.

    The fastest of both would be two attempts instead of one, so they never mix,
    not even over studies.
    """
    counts: dict[str, dict[Framework, int]] = {}
    for trial in trials:
        of_workload = counts.setdefault(trial.workload, {})
        of_workload[trial.framework] = of_workload.get(trial.framework, 0) + 1
    chosen: dict[str, Framework] = {}
    for workload, of_workload in sorted(counts.items()):
        chosen[workload] = max(sorted(of_workload), key=lambda f: of_workload[f])
        if len(of_workload) > 1:
            text = ", ".join(f"{n} trials {f}" for f, n in sorted(of_workload.items()))
            what = f"{workload} in both frameworks: {chosen[workload]} counts"
            state.folders.note(path, what, "folder ignored", text)
    return [trial for trial in trials if chosen[trial.workload] == trial.framework]
