"""Runs every style of the contract in one process: a line of JSON for each.

usage: python tests/contract_runner.py FOLDER [STYLE ...]
"""

import json
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import jax
from contract_styles import STYLES, Style
from contract_workload import contract_workload
from fakes import Quiet, compiled_functions

from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions

STEPS, STOP_AT = 5, 3
LIMITS = Limits(max_runtime_s=600.0, max_steps=STEPS, eval_every_steps=2)


class Watch(Quiet):
    """Keeps the evaluations and what the first one found compiled; may ask to stop."""

    def __init__(self, names: list[str], stop_at: int | None = None):
        super().__init__()
        self.names, self.stop_at = names, stop_at
        self.stop = StopRequest()
        self.compiled_by_step_1 = 0
        self.evaluations: list[Any] = []

    def stepped(self, progress, submission_s):
        if progress.step == self.stop_at:
            self.stop.ask(15)

    def evaluated(self, progress):
        self.evaluations = list(progress.eval_results)
        if progress.step == 1:
            self.compiled_by_step_1 = len(self.names)


def metrics(evaluations: list[Any]) -> dict[str, float]:
    """What the last evaluation measured, without the seconds."""
    values = evaluations[-1][1] if evaluations else {}
    return {name: value for name, value in values.items() if "/" in name}


def trial_of(style: Style, folder: Path, observer: Quiet, saves: bool) -> TrialRun:
    """A trial of a style, whose source is written into the folder."""
    source = folder / "mine"
    source.mkdir(parents=True, exist_ok=True)
    for name, text in {"submission.py": style.source, **style.files}.items():
        (source / name).write_text(text)
    point = None
    if style.hyperparameters is not None:
        kind = namedtuple("Hyperparameters", style.hyperparameters)
        point = kind(**style.hyperparameters)
    plan = TrialPlan(0, 1, 3, point, folder / f"trial_{saves}")
    ruleset = "self" if point is None else "external"
    options = RunOptions(ruleset, LIMITS, save_checkpoints=saves)
    return TrialRun(plan, contract_workload(), source, options, observer)


def uninterrupted(style: Style, folder: Path) -> dict[str, Any]:
    """How the trial goes, and what it compiles after the first evaluation."""
    with compiled_functions() as names:
        watch = Watch(names)
        record = trial_of(style, folder, watch, saves=False).run(watch.stop)
    return {
        "outcome": record["outcome"],
        "error": record["error"],
        "steps": record["steps"],
        "metrics": metrics(watch.evaluations),
        "first_loss": watch.evaluations[0][1]["train/loss"] if watch.evaluations else 0,
        "evaluated_at": [step for step, _ in watch.evaluations],
        "compiled_late": names[watch.compiled_by_step_1 :],
    }


def resumed(style: Style, folder: Path) -> dict[str, Any]:
    """The same trial stopped after step `STOP_AT` and gone on with."""
    first = Watch([], STOP_AT)
    trial_of(style, folder, first, saves=True).run(first.stop)
    second = Watch([])
    record = trial_of(style, folder, second, saves=True).run(second.stop)
    return {
        "resumed_error": record["error"],
        "resumed_messages": second.messages,
        "resumed_metrics": metrics(second.evaluations),
    }


def main(folder: Path, names: list[str]) -> None:
    jax.config.update("jax_numpy_rank_promotion", "raise")
    # Every trial forgets what JAX has compiled; what all styles share comes from here.
    jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    for name in names or STYLES:
        style, begin = STYLES[name], time.monotonic()
        line = {"style": name, **uninterrupted(style, folder / name)}
        if style.resumed:
            line |= resumed(style, folder / name)
        line["seconds"] = round(time.monotonic() - begin, 2)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
