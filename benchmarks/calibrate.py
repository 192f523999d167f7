"""Where the targets of the mini workloads come from.

AlgoPerf sets a target by training with tuned baselines for three quarters of the step
hint: the validation target is the median over seeds of the best value, the test target
the worst test value among the runs that reach it. This does the same with one baseline,
AlgoPerf's self-tuning NadamW as it is bundled, so that it reaches every target within
the step hint. Others are run once beside it: tuned ones, which should get further, and
SGD without tuning, which should not get there.

Every run is a row in calibration.csv, with the steps and seconds after which it reached
the target that the catalog has ("never" if it did not). Rows that are there are not run
again, so it may be stopped at any time. Afterwards it prints the targets.

    python benchmarks/calibrate.py --workloads=imagenet_resnet_mini
"""

import argparse
import csv
import json
import math
import statistics
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from algoperf.cli.bundled import bundled_submissions
from algoperf.data_options import DataOptions
from algoperf.facts import Facts
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.catalog import CATALOG
from workloads.loading import build

TABLE = Path(__file__).with_name("calibration.csv")
KEY = ("workload", "submission", "point", "seed")
COLUMNS: tuple[str, ...] = (
    *KEY,
    "steps",
    "seconds",
    "validation",
    "test",
    "steps_to_target",
    "seconds_to_target",
)
SHARE_OF_HINT = 0.75
SECONDS = "accumulated_submission_time"  # as eval_measurements.csv has it
SEEDS = (0, 1, 2)
VARIANT_SEEDS = (0, 1)

_ADAM = {
    "one_minus_beta1": 0.1,
    "beta2": 0.99,
    "weight_decay": 0.05,
    "warmup_factor": 0.05,
    "dropout_rate": 0.0,
    "label_smoothing": 0.0,
}
_SGD = {
    "one_minus_beta1": 0.1,
    "weight_decay": 1e-4,
    "warmup_factor": 0.05,
    "decay_steps_factor": 0.9,
    "end_factor": 0.01,
    "dropout_rate": 0.0,
    "label_smoothing": 0.0,
}
BASELINE = ("nadamw", {})  # self-tuning: it has a point of its own
OTHERS: list[tuple[str, dict[str, float]]] = [
    ("nadamw_external", _ADAM | {"learning_rate": 3e-3}),
    ("nesterov", _SGD | {"learning_rate": 0.1}),
    ("nesterov", _SGD | {"learning_rate": 1e-3}),  # as one starts without tuning
]
Row = dict[str, Any]


class Run(NamedTuple):
    """One training run."""

    workload: str
    submission: str
    point: dict[str, float]
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        point = json.dumps(self.point, sort_keys=True)
        return self.workload, self.submission, point, str(self.seed)


class Silent:
    """Shows nothing of a trial."""

    def stepped(self, progress: Any, submission_s: float) -> None: ...
    def evaluated(self, progress: Any) -> None: ...
    def message(self, text: str) -> None: ...
    def ended(self, record: dict[str, Any]) -> None: ...


def runs_of(names: list[str]) -> Iterator[Run]:
    """All runs of some workloads; the first seed of each comes first."""
    for seed in SEEDS:
        yield from (
            Run(name, *BASELINE, seed) for name in names if seed in seeds_of(name)
        )
        if seed == SEEDS[0]:
            bases = [name for name in names if CATALOG[name].base == name]
            for submission, point in reversed(OTHERS):
                yield from (Run(name, submission, point, seed) for name in bases)


def seeds_of(name: str) -> tuple[int, ...]:
    """The seeds of the baseline: fewer for a variant, which is like its base."""
    return SEEDS if CATALOG[name].base == name else VARIANT_SEEDS


def of(name: str, rows: dict[tuple[str, ...], Row]) -> list[Row]:
    """The rows of a workload."""
    return [row for row in rows.values() if row["workload"] == name]


def make(run: Run, rows: dict[tuple[str, ...], Row]) -> None:
    """Trains, and writes the row into the table."""
    if rows.get(run.key, {}).get("steps_to_target"):
        return
    facts = CATALOG[run.workload]
    steps = int(SHARE_OF_HINT * facts.step_hint)
    unreachable = float("inf") if facts.goal == "max" else float("-inf")
    endless = replace(facts, step_hint=steps, validation_target=unreachable)
    row: Row = dict(zip(COLUMNS, run.key, strict=False)) | {"steps": steps}
    row |= measured(facts, list(trained(endless, run, steps)))
    rows |= read()  # of others that run at the same time, too
    rows[run.key] = row
    write(rows)
    shown = f"{run.point.get('learning_rate', '')} seed {run.seed}"
    print(
        f"{run.workload} {run.submission} {shown}: {row['validation']} "
        f"({row['seconds']} s, target after {row['steps_to_target']})",
        flush=True,
    )


def measured(facts: Facts, evaluations: list[Row]) -> Row:
    """What a row says of a run's evaluations; there are none if it failed."""
    row: Row = {"seconds": "", "validation": "nan", "test": "nan"}
    row |= {"steps_to_target": "never", "seconds_to_target": "never"}
    if not evaluations:
        return row
    metric = f"validation/{facts.metric}"
    pick = max if facts.goal == "max" else min
    best = pick(evaluations, key=lambda values: values[metric])
    row["seconds"] = round(evaluations[-1][SECONDS], 1)
    row["validation"] = f"{best[metric]:.5g}"
    test = best.get(f"test/{facts.metric}", math.nan)  # there may be none
    row["test"] = f"{test:.5g}"
    for values in evaluations:
        if facts.reached_validation(values[metric]):
            row["steps_to_target"] = int(values["global_step"])
            row["seconds_to_target"] = round(values[SECONDS], 1)
            break
    return row


def read() -> dict[tuple[str, ...], Row]:
    """The table's rows by their keys; there may be none yet."""
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    return {tuple(row[name] for name in KEY): row for row in rows}


def write(rows: dict[tuple[str, ...], Row]) -> None:
    """Replaces the table, whole or not at all."""
    new = TABLE.with_suffix(".new")
    with new.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows.values())
    new.replace(TABLE)


def trained(facts: Facts, run: Run, steps: int) -> Iterator[Row]:
    """What is measured at every evaluation of a trial."""
    limits = Limits(
        max_runtime_s=1e9,
        max_steps=steps,
        eval_every_steps=facts.eval_period_steps,
    )
    point = namedtuple("Hyperparameters", run.point)(**run.point)
    with tempfile.TemporaryDirectory() as folder:
        plan = TrialPlan(0, 1, run.seed, point, Path(folder) / "trial_1")
        trial = TrialRun(
            plan,
            build(facts, None, DataOptions()),
            bundled_submissions()[run.submission],
            RunOptions("external", limits, save_checkpoints=False),
            Silent(),
        )
        trial.run(StopRequest())
        with (plan.folder / "eval_measurements.csv").open() as file:
            for values in csv.DictReader(file):
                yield {key: float(value) for key, value in values.items() if value}


def targets(name: str, rows: dict[tuple[str, ...], Row]) -> str:
    """A line with the targets that the table gives a workload."""
    facts = CATALOG[name]
    worst, is_at_least = (
        (min, float.__ge__) if facts.goal == "max" else (max, float.__le__)
    )
    runs = [row for row in of(name, rows) if row["submission"] == BASELINE[0]]
    values = [float(row["validation"]) for row in runs]
    validation = statistics.median(values)
    reached = [
        float(row["test"])
        for row, value in zip(runs, values, strict=True)
        if is_at_least(value, validation)
    ]
    seconds = statistics.median(float(row["seconds"]) for row in runs)
    return (
        f"{name}: validation {validation:g}, test {worst(reached):g} ({seconds:.0f} s; "
        f"now {facts.validation_target:g}, {facts.test_target or math.nan:g})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", required=True, help="by commas; bases first")
    names = parser.parse_args().workloads.split(",")
    rows = read()
    for run in runs_of(names):
        make(run, rows)
    for name in names:
        print(targets(name, rows))


if __name__ == "__main__":
    main()
