"""`algoperf sweep --executor=slurm`: what is submitted, and what is said about it."""

import shlex
from collections.abc import Mapping, Sequence

from absl import flags

from algoperf.cli.sweep_plan import request_of
from algoperf.sweep.plan import Plan, flag_words
from algoperf.sweep.slurm import SlurmOptions, in_queue, submit, time_limit_min
from algoperf.sweep.status import Key
from algoperf.sweep.tasks import Sweep, Task
from workloads import catalog


def submit_missing(
    values: flags.FlagValues, plan: Plan, sweep: Sweep, left: Sequence[Task]
) -> int:
    """Submits the tasks that are left and not in the queue; returns the exit code."""
    queued = in_queue(sweep)
    tasks = [task for task in left if task not in queued]
    limits = _limits_min(values, sweep, tasks)
    options = SlurmOptions(
        sbatch=(*flag_words(plan.slurm), *shlex.split(values.sbatch or "")),
        array_limit=values.array_limit,
        max_restarts=values.max_restarts,
    )
    ids = submit(sweep, {task: limits[task[:2]] for task in tasks}, options)
    already = f"; {len(left) - len(tasks)} were in the queue" if queued else ""
    print(f"{len(tasks)} trials submitted in {len(ids)} array(s){already}")
    if ids:
        print(f"to cancel them:  scancel {' '.join(ids)}")
    print(f"to watch them:   algoperf status {sweep.experiment_dir} --watch")
    print("The same line again submits what is missing then.")
    return 0


def _limits_min(
    values: flags.FlagValues, sweep: Sweep, tasks: Sequence[Task]
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
        request = request_of(sweep.command(task)[4:])
        facts = catalog.get(task.workload)
        limits[key] = time_limit_min(facts.max_runtime_s * request.runtime_factor)
    return limits
