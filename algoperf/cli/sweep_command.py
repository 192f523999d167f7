"""`algoperf sweep`: runs many trials on this machine, on a cluster, or as a list."""

import os
import shlex
import sys
from collections.abc import Sequence

from absl import flags

from algoperf.cli import sweep_flags
from algoperf.cli.again import this_line
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.cli.sweep_plan import part_of, read_plan, sweep_of
from algoperf.cli.sweep_slurm import submit_missing
from algoperf.cli.sweep_view import SweepView
from algoperf.facts import UserError
from algoperf.stop_request import StopRequest
from algoperf.sweep.local import Local
from algoperf.sweep.lock import only_one
from algoperf.sweep.pinning import places
from algoperf.sweep.plan import Plan
from algoperf.sweep.record import missing, set_aside, write_plan
from algoperf.sweep.scan import TrialState, find_trials, read_state
from algoperf.sweep.tasks import Sweep, Task
from workloads.catalog import CATALOG

USAGE = """algoperf sweep [PLAN.toml] [--flags]

Runs every trial of submissions x workloads x studies that is not over yet:

  algoperf sweep --submissions=adamw,nadamw --workloads=digits,mnist_mini \\
      --studies=3 --trials=5 --experiment_dir=night --workers=2

or with the same as keys of a TOML file. The same line again continues: finished
trials are skipped, half-finished ones resume. `algoperf status DIR` shows how far
it is; docs/clusters.md has the rest."""

EXIT_FAILED = 2


def main(argv: list[str]) -> int:
    """Runs or submits what is missing; 2 if a trial failed, 130 or 143 if stopped."""
    values = flags.FlagValues()
    sweep_flags.define(values)
    try:
        words = parse(values, USAGE, argv, most_words=None)
    except HelpShown:
        return 0
    if len(words) > 1:
        raise UserError(
            f"unexpected {words[1]!r}: `algoperf sweep` takes one plan, and flags are "
            "written --name=value."
        )
    plan = read_plan(words[0] if words else None, values)
    part = part_of(values.part, plan)
    sweep = sweep_of(plan)
    tasks = list(sweep.part(*part) if part[1] > 1 else sweep.tasks())
    execute = {"local": _local, "slurm": _slurm, "list": _list}[values.executor]
    with only_one(sweep.experiment_dir):
        write_plan(sweep)
        return execute(values, plan, sweep, tasks)


def _left(
    values: flags.FlagValues, sweep: Sweep, tasks: Sequence[Task]
) -> tuple[dict[Task, TrialState], list[Task]]:
    """How far the trials are, and those to run; failed ones are moved aside."""
    wanted = set(tasks)
    states = {
        task: read_state(folder)
        for task, folder in find_trials(sweep.experiment_dir)
        if task in wanted
    }
    left = missing(tasks, states, values.retry_failed)
    for task in left:
        if states.get(task, TrialState()).outcome is not None:
            set_aside(sweep, task)
            del states[task]
    return states, left


def _local(
    values: flags.FlagValues, plan: Plan, sweep: Sweep, tasks: Sequence[Task]
) -> int:
    del plan
    own_places = places(values.workers, values.gpus_per_task, os.environ)
    states, left = _left(values, sweep, tasks)
    view = SweepView(sweep, tasks, states, CATALOG, len(own_places))
    local = Local(sweep, own_places, view, os.environ, values.max_restarts)
    stop = StopRequest()
    try:
        with stop.listening():
            local.run(left, stop)
    except OSError as error:
        raise UserError(
            f"cannot start a trial: {error}. What was written is kept, and the same "
            "command line goes on from there."
        ) from error
    finally:
        view.close()
    print(view.report(), flush=True)
    if stop.signal_number is not None:
        print(
            "\nalgoperf: stopped; the trials that ran were saved; continue with the "
            f"same command line:\n  {this_line()}",
            file=sys.stderr,
        )
        return stop.exit_code
    return _verdict(view.failed(), local.problems, sweep)


def _verdict(failed: Sequence[Task], problems: dict[Task, str], sweep: Sweep) -> int:
    for task, problem in problems.items():
        print(
            f"algoperf: {task} has no outcome: {problem}\n  {sweep.log(task)}",
            file=sys.stderr,
        )
    for task in failed:
        print(f"algoperf: {task} failed: {sweep.log(task)}", file=sys.stderr)
    if failed:
        print(
            f"algoperf: {len(failed)} trial(s) failed; --retry_failed runs them again.",
            file=sys.stderr,
        )
    if problems:
        print(f"algoperf: to try again:\n  {this_line()}", file=sys.stderr)
    return EXIT_FAILED if failed or problems else 0


def _list(
    values: flags.FlagValues, plan: Plan, sweep: Sweep, tasks: Sequence[Task]
) -> int:
    del plan
    _, left = _left(values, sweep, tasks)
    for task in left:
        print(shlex.join(sweep.command(task)))
    print(
        f"algoperf: {len(left)} of {len(tasks)} trials are left; each line runs one, "
        "and continues it when it is run again.",
        file=sys.stderr,
    )
    return 0


def _slurm(
    values: flags.FlagValues, plan: Plan, sweep: Sweep, tasks: Sequence[Task]
) -> int:
    _, left = _left(values, sweep, tasks)
    return submit_missing(values, plan, sweep, left)
