"""`algoperf sweep --executor=slurm`: what is submitted, and what is said about it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from algoperf.cli.sweep_plan import request_of
from algoperf.facts import UserError
from algoperf.records import read_json
from algoperf.sweep.plan import Plan, flag_words
from algoperf.sweep.slurm import (
    SlurmOptions,
    in_queue,
    measured_limit_min,
    submit,
    time_limit_min,
)
from algoperf.sweep.status import Key
from algoperf.sweep.tasks import Sweep, Task
from workloads import catalog


def submit_missing(
    values: flags.FlagValues, plan: Plan, sweep: Sweep, left: Sequence[Task]
) -> int:
    """Submits the tasks that are left and not in the queue; returns the exit code."""
    costs = _trial_seconds(values.preflight_json or "")
    queued = in_queue(sweep)
    tasks = [task for task in left if task not in queued]
    limits = _limits_min(values, sweep, tasks, costs)
    options = SlurmOptions(
        sbatch=(*flag_words(plan.slurm), *shlex.split(values.sbatch or "")),
        array_limit=values.array_limit,
        max_restarts=values.max_restarts,
    )
    ids = submit(sweep, {task: limits[task[:2]] for task in tasks}, options)
    already = f"; {len(left) - len(tasks)} were in the queue" if queued else ""
    print(f"{len(tasks)} trials submitted in {len(ids)} array(s){already}")
    if tasks and all(task.workload in costs for task in tasks):
        hours = sum(costs[task.workload] for task in tasks) / 3600
        print(f"they take {hours:,.1f} machine-hours at most, by the pre-flight")
    if ids:
        print(f"to cancel them:  scancel {' '.join(ids)}")
    print(f"to watch them:   algoperf status {sweep.experiment_dir} --watch")
    print("The same line again submits what is missing then.")
    return 0


def _trial_seconds(files: str) -> dict[str, float]:
    """Seconds of a trial to its budget, by workload: the most that any file says.

    Raises:
      UserError: a file is not there, or of something else.
    """
    seconds: dict[str, float] = {}
    for file in filter(None, (part.strip() for part in files.split(","))):
        try:
            rows: Any = read_json(Path(file))  # None where there is no file
            for row in rows:
                name, took = row["workload"], row["trial_s_to_budget"]
                if took is not None:
                    seconds[name] = max(seconds.get(name, 0.0), float(took))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"--preflight_json={file} cannot be read ({error!r}). Make it with "
                "`algoperf check --submission_path=... --workload=... "
                "--preflight_json=FILE` on a node of the cluster."
            ) from None
    return seconds


def _limits_min(
    values: flags.FlagValues,
    sweep: Sweep,
    tasks: Sequence[Task],
    costs: Mapping[str, float],
) -> Mapping[Key, int]:
    """Minutes of a job, by submission and workload."""
    limits: dict[Key, int] = {}
    for task in tasks:
        key = task[:2]
        if key in limits:
            continue
        if values.time_limit_min is not None:
            limits[key] = values.time_limit_min
            continue
        if task.workload in costs:
            limits[key] = measured_limit_min(costs[task.workload])
            continue
        request = request_of(sweep.command(task)[4:])
        facts = catalog.get(task.workload)
        limits[key] = time_limit_min(facts.max_runtime_s * request.runtime_factor)
    return limits
