"""Logs in memory and log trees on disk, for tests of scoring, from a few numbers."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scoring.load import Logs, TrialRecord
from scoring.rows import EvalRow, EvalRows
from scoring.rules import Rules, Ruleset, WorkloadRule
from scoring.scoreboard import Scoreboard, score_logs

HEADER = "accumulated_submission_time,global_step,score,train/loss,validation/accuracy"
TARGET, MISSED = 0.1, 0.9  # of a loss
INF = math.inf

# Submission: workload: study: seconds to target of each trial, infinite for missed.
Times = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


def workload(name: str, base: str = "", budget_s: float = 1000.0) -> WorkloadRule:
    """A rule for a loss that has to come down to 0.1."""
    return WorkloadRule(name, base or name, "loss", "min", TARGET, budget_s)


def rules_for(
    *names: str,
    held_out: Mapping[str, str] | None = None,
    studies: int = 3,
    trials: int = 1,
    budget_s: float = 1000.0,
) -> Rules:
    """Rules for workloads with losses; `held_out` are variants and their bases."""
    guards = (held_out or {}).items()
    return Rules(
        name="test",
        workloads=tuple(workload(name, budget_s=budget_s) for name in names),
        held_out=tuple(workload(name, base, budget_s) for name, base in guards),
        studies=studies,
        trials_external=trials,
    )


def record(
    rows: Iterable[tuple[float, float]],
    submission: str = "s",
    workload: str = "a",
    study: int = 0,
    trial: int = 1,
    ruleset: Ruleset | None = "external",
    seconds: Mapping[str, float] | None = None,
    steps: Sequence[int | None] | None = None,
) -> TrialRecord:
    """A trial with (seconds, value) rows; ten steps a second without `steps`."""
    rows = tuple(rows)
    steps = [round(10 * time_s) for time_s, _ in rows] if steps is None else steps
    evaluations = EvalRows.of(
        EvalRow(place, float(time_s), step, value)
        for place, ((time_s, value), step) in enumerate(zip(rows, steps, strict=True))
    )
    where = f"{submission}/study_{study}/{workload}_jax/trial_{trial}"
    identity = (submission, study, workload, "jax", trial, where, ruleset, None)
    return TrialRecord(*identity, evaluations, dict(seconds or {}))


def rows_reaching(time_s: float) -> list[tuple[float, float]]:
    """Half-way a loss that misses the target, then the target, if time is finite."""
    if math.isinf(time_s):
        return [(1.0, MISSED), (2.0, MISSED)]
    return [(time_s / 2, MISSED), (time_s, TARGET)]


def logs_of(trials: Iterable[TrialRecord], names: Iterable[str] = ()) -> Logs:
    """Logs of trials; `names` are submissions without any."""
    trials = tuple(trials)
    rulesets: dict[str, Ruleset] = dict.fromkeys(names, "external")
    rulesets |= {own.submission: own.ruleset or "external" for own in trials}
    workloads = frozenset(own.workload for own in trials)
    studies = frozenset(own.study for own in trials)
    return Logs(trials, rulesets, workloads, (), studies)


def trials_of(times: Times, ruleset: Ruleset = "external") -> list[TrialRecord]:
    """The trials that reach their targets at these seconds."""
    return [
        record(rows_reaching(time_s), name, workload, study, trial, ruleset)
        for name, workloads in times.items()
        for workload, studies in workloads.items()
        for study, own in enumerate(studies)
        for trial, time_s in enumerate(own, start=1)
    ]


def score_logs_of(trials: Iterable[TrialRecord], rules: Rules) -> Scoreboard:
    """A leaderboard of trials."""
    return score_logs(logs_of(trials), rules)


def board_of(times: Times, rules: Rules, by_trapezoid: bool = False) -> Scoreboard:
    """A leaderboard of submissions that reach their targets at these seconds."""
    return score_logs(logs_of(trials_of(times), times), rules, by_trapezoid)


def one_trial_each(times: Mapping[str, Mapping[str, Sequence[float]]]) -> Times:
    """Times of studies with a single trial."""
    return {
        name: {workload: [[t] for t in studies] for workload, studies in own.items()}
        for name, own in times.items()
    }


def write_text(folder: Path, text: str, ruleset: str | None = "external") -> Path:
    """A trial folder with this eval_measurements.csv."""
    folder.mkdir(parents=True)
    (folder / "eval_measurements.csv").write_bytes(text.encode())
    if ruleset is not None:
        facts = {"tuning_ruleset": ruleset, "outcome": "reached"}
        (folder / "trial.json").write_text(json.dumps(facts))
    return folder


def write_trial(
    folder: Path,
    rows: Iterable[tuple[float, float]] = ((10.0, 0.5), (20.0, 0.95)),
    ruleset: str | None = "external",
) -> Path:
    """A trial folder with (time, accuracy) rows at steps 0, 100, ..."""
    lines = [f"{t},{100 * i},{t},0.1,{value}" for i, (t, value) in enumerate(rows)]
    return write_text(folder, "\n".join([HEADER, *lines, ""]), ruleset)


def write_tree(root: Path, times: Times, trials: Iterable[TrialRecord] = ()) -> Path:
    """The same trials on disk."""
    for own in trials or trials_of(times):
        lines = [f"{r.time_s!r},{r.step},{r.value!r}" for r in own.rows]
        header = "accumulated_submission_time,global_step,validation/loss"
        write_text(root / own.where, "\n".join([header, *lines, ""]), own.ruleset)
    return root
