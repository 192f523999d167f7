"""Hands tasks to SLURM: a job array for each time limit, in plain batch scripts.

The scripts need nothing but sbatch, and stay beside what they wrote, to be read and
submitted by hand. Jobs that are preempted or run out of time go back into the queue.
"""

import json
import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf import records
from algoperf.facts import UserError
from algoperf.sweep.record import FOLDER
from algoperf.sweep.tasks import Sweep, Task

# SLURM's own default for MaxArraySize is 1001.
MOST_OF_AN_ARRAY = 1000
JOBS = "jobs.json"
# Evaluations, checkpoints and set-up are not in a trial's budget.
_BESIDES_FACTOR = 1.5
_BESIDES_MIN = 15
# Of what a pre-flight measured, with evaluations and checkpoints in it.
_MEASURED_FACTOR = 1.25
# Seconds before the time limit at which a job is told to save. SLURM may be a minute
# early, so it is a third of short limits.
_SAVE_S = 180
_OWN_OPTIONS = (
    "array",
    "signal",
    "requeue",
    "no-requeue",
    "open-mode",
    "chdir",
    "output",
)


@dataclass(frozen=True)
class SlurmOptions:
    """How jobs are submitted. `sbatch` are options of sbatch, with their dashes."""

    sbatch: tuple[str, ...] = ()
    array_limit: int | None = None
    max_restarts: int = 3


def time_limit_min(budget_s: float) -> int:
    """Minutes of a job whose trial may spend `budget_s` of submission time.

    A guess where evaluations are slow: a job that is too short goes on after another
    turn in the queue.
    """
    return math.ceil(budget_s * _BESIDES_FACTOR / 60) + _BESIDES_MIN


def measured_limit_min(trial_s: float) -> int:
    """Minutes of a job whose trial takes `trial_s` in all, as a pre-flight says."""
    return math.ceil(trial_s * _MEASURED_FACTOR / 60) + _BESIDES_MIN


def submit(
    sweep: Sweep,
    tasks: Mapping[Task, int],
    options: SlurmOptions,
) -> list[str]:
    """Submits tasks; returns the ids of the job arrays.

    Args:
      tasks: each with its minutes.

    Raises:
      UserError: there is no sbatch, or it refuses; jobs that it took go on.
    """
    _check_options(options.sbatch)
    folder = sweep.experiment_dir / FOLDER / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    ids: list[str] = []
    for minutes in sorted(set(tasks.values())):
        own = [task for task, limit in tasks.items() if limit == minutes]
        for first in range(0, len(own), MOST_OF_AN_ARRAY):
            array = own[first : first + MOST_OF_AN_ARRAY]
            ids.append(_submit_array(sweep, folder, array, minutes, options))
    return ids


def in_queue(sweep: Sweep) -> set[Task]:
    """The tasks that earlier sweeps submitted and that wait or run in SLURM."""
    folder = sweep.experiment_dir / FOLDER / "slurm"
    files = sorted(folder.glob(f"*/{JOBS}"))
    if not files:
        return set()
    user = os.environ.get("USER") or str(os.getuid())
    alive = set(_call(["squeue", "-h", "-r", "-u", user, "-o", "%i"]).split())
    found: set[Task] = set()
    for file in files:
        jobs = records.read_json(file) or {"id": "", "tasks": []}
        for index, task in enumerate(jobs["tasks"]):
            if f"{jobs['id']}_{index}" in alive:
                found.add(Task(*task))
    return found


def script(
    tasks_file: Path,
    count: int,
    minutes: int,
    options: SlurmOptions,
    cwd: Path,
) -> str:
    """The batch script of an array of `count` tasks."""
    throttle = f"%{options.array_limit}" if options.array_limit else ""
    warn_s = min(_SAVE_S, minutes * 60 // 3)
    own = {
        "job-name": "algoperf",
        "array": f"0-{count - 1}{throttle}",
        "time": str(minutes),
        "signal": f"B:USR1@{warn_s}",
        "open-mode": "append",
        "chdir": str(cwd),
        "output": str(tasks_file.with_name("%a.log")),
    }
    lines = [f"#SBATCH --{name}={shlex.quote(value)}" for name, value in own.items()]
    lines += ["#SBATCH --requeue", *(f"#SBATCH {option}" for option in options.sbatch)]
    command = [sys.executable, "-m", "algoperf.sweep.array_task", str(tasks_file)]
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "# Replaces the script, so that SLURM's signals reach it.",
            f'exec {shlex.join(command)} "$SLURM_ARRAY_TASK_ID" {options.max_restarts}',
            "",
        ]
    )


def _submit_array(
    sweep: Sweep,
    folder: Path,
    tasks: Sequence[Task],
    minutes: int,
    options: SlurmOptions,
) -> str:
    own = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns()}"
    own.mkdir()
    tasks_file, script_file = own / "tasks.json", own / "array.sh"
    plain = [
        {
            "command": sweep.command(task),
            "folder": str(sweep.folder(task)),
            "log": str(sweep.log(task)),
        }
        for task in tasks
    ]
    tasks_file.write_text(json.dumps(plain), encoding="utf-8")
    text = script(tasks_file, len(tasks), minutes, options, Path.cwd())
    script_file.write_text(text, encoding="utf-8")
    output = _call(["sbatch", "--parsable", str(script_file)])
    job = output.strip().split(";")[0]  # on some clusters: id;cluster
    records.write_json(own / JOBS, {"id": job, "tasks": list(tasks)})
    return job


def _check_options(words: Sequence[str]) -> None:
    for word in words:
        name = word.removeprefix("--").partition("=")[0]
        if not word.startswith("-"):
            raise UserError(
                f"the sbatch options have {word!r}; they are written --name=value."
            )
        if name in _OWN_OPTIONS:
            raise UserError(f"the sbatch option {word} is set by the sweep.")


def _call(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(
            f"there is no `{command[0]}` here: --executor=slurm needs a machine that "
            "submits to SLURM. --executor=list prints command lines for any scheduler."
        ) from None
    if done.returncode:
        raise UserError(
            f"`{shlex.join(command)}` failed: {done.stderr.strip() or done.stdout}"
        )
    return done.stdout
