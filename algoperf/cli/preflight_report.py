"""What a pre-flight found, in lines and in numbers: one workload's, and the sum."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from algoperf.cli.result_line import Line
from algoperf.facts import Facts
from algoperf.limits import Limits
from algoperf.preflight import (
    Course,
    Preflight,
    checkpoint_disk_bytes,
    course,
    eval_batches,
)

HOUR_S = 3600.0


@dataclass(frozen=True)
class Cost:
    """What the trials of one workload cost; None where nothing is known.

    `to_hint` ends at the step hint and `to_budget` at the budget, each within the
    limits of the run; seconds of a trial.
    """

    facts: Facts
    found: Preflight
    limits: Limits
    trials: int
    step_s: float | None
    one_eval_s: float | None
    to_hint: Course | None
    to_budget: Course | None
    disk_bytes: int | None

    @property
    def measured(self) -> bool:
        """Whether seconds are of real steps, not derived from operations."""
        return self.found.measured is not None

    @property
    def device_memory_bytes(self) -> int | None:
        return self.found.peak_bytes

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "workload": self.facts.name,
            "batch_size": self.found.batch_size,
            "trials": self.trials,
            "seconds_are": "measured" if self.measured else "derived",
            "step_s": self.step_s,
            "compile_s": self.found.compile_s,
            "evaluation_s": self.one_eval_s,
            "device_memory_bytes": self.device_memory_bytes,
            "disk_bytes": self.disk_bytes,
            "trial_s_to_step_hint": self.to_hint and self.to_hint.total_s,
            "trial_s_to_budget": self.to_budget and self.to_budget.total_s,
            "xla": self.found.as_dict()["programs"],
            "run": self.found.as_dict()["measured"],
        }


def cost_of(
    facts: Facts,
    found: Preflight,
    limits: Limits,
    flop_per_s: float,
    trials: int,
    checkpoints_kept: int | None,
) -> Cost:
    """The cost of `trials` trials; `checkpoints_kept` is 0 where none are saved."""
    step_s = found.step_s(flop_per_s)
    batch_s = found.eval_batch_s(flop_per_s)
    batches = eval_batches(facts, found.eval_batch_size)
    one_eval_s = None if batch_s is None else batch_s * batches
    to_hint = to_budget = disk_bytes = None
    if step_s is not None and one_eval_s is not None:
        compile_s = found.compile_s or 0.0
        to_hint = course(facts.step_hint, limits, step_s, compile_s, one_eval_s)
        most_steps = 1 + int(limits.max_runtime_s / step_s)
        to_budget = course(most_steps, limits, step_s, compile_s, one_eval_s)
    if found.state_bytes is not None:
        count = to_budget.checkpoints if to_budget else 1
        disk_bytes = checkpoint_disk_bytes(
            found.state_bytes, checkpoints_kept, count, trials
        )
    return Cost(
        facts, found, limits, trials, step_s, one_eval_s, to_hint, to_budget, disk_bytes
    )


def lines(cost: Cost, memory_bytes: int, free_bytes: int) -> Iterator[Line]:
    """What is known of one workload; what will not work is bad."""
    found, name = cost.found, cost.facts.name
    yield _heading(cost)
    if found.untraceable:
        yield Line(
            None,
            f"  the step is no single program ({found.untraceable}): memory is not "
            "planned, the rest is measured by running it",
        )
    yield from _memory(cost, memory_bytes)
    yield from _seconds(cost)
    yield from _hours(cost)
    yield from _disk(name, "  disk: ", cost.disk_bytes, free_bytes)


def _disk(
    name: str, before: str, disk_bytes: int | None, free_bytes: int
) -> Iterator[Line]:
    if not disk_bytes:
        return
    need, free = _gb(disk_bytes), f"{_gb(free_bytes)} are free"
    yield Line(None, f"{before}{need} of checkpoints, {free}")
    if disk_bytes > free_bytes:
        yield Line(
            False,
            f"{name} needs {need} of disk for checkpoints, {free}; give another "
            "--experiment_dir, or --nosave_checkpoints",
        )


def _heading(cost: Cost) -> Line:
    programs = cost.found.programs
    how = "compiles" if programs else "cannot be compiled ahead"
    if cost.measured:
        steps = cost.found.measured.steps if cost.found.measured else 0
        how += f" and runs ({steps} timed step{'s' if steps != 1 else ''})"
    size = cost.found.batch_size
    of = f", batches of {size:,}" if size else ""
    return Line(
        True if programs or cost.measured else None, f"{cost.facts.name}{of}: {how}"
    )


def _memory(cost: Cost, memory_bytes: int) -> Iterator[Line]:
    found, programs = cost.found, cost.found.programs
    peak = found.peak_bytes
    if programs is not None:
        measured = ""
        if found.measured is not None and found.measured.peak_bytes is not None:
            measured = f"; measured: {_gb(found.measured.peak_bytes)}"
        yield Line(
            None,
            f"  memory of a device: training {_gb(programs.step_peak_bytes)}, "
            f"evaluation {_gb(programs.eval_peak_bytes)}, of {_gb(memory_bytes)} "
            f"(XLA's plan{measured}); state {_gb(programs.state_bytes)}",
        )
    if peak is not None and peak > memory_bytes:
        yield Line(
            False,
            f"{cost.facts.name} needs {_gb(peak)} on a device that has "
            f"{_gb(memory_bytes)}; use more devices, a smaller batch, or "
            "--device_memory_gb for the device it will run on",
        )


def _seconds(cost: Cost) -> Iterator[Line]:
    measured, programs = cost.found.measured, cost.found.programs
    said = []
    if programs is not None:
        said.append(
            f"compile {programs.step.compile_s:.1f} s (step), "
            f"{programs.evaluation.compile_s:.1f} s (evaluation)"
        )
    if measured is not None:
        said.append(f"a trial is charged {measured.compile_s:.1f} s for compiling")
        said.append(f"step {measured.step_s:.4g} s, measured")
    elif cost.step_s is not None:
        said.append(
            f"step {cost.step_s:.4g} s at least: not run, derived from its operations "
            "at this device's matmul rate"
        )
    if said:
        yield Line(None, "  " + "; ".join(said))


def _hours(cost: Cost) -> Iterator[Line]:
    to_hint, to_budget = cost.to_hint, cost.to_budget
    if to_hint is None or to_budget is None or cost.one_eval_s is None:
        return
    hint = cost.facts.step_hint
    reached = "" if to_hint.steps >= hint else f" (ends at step {to_hint.steps:,})"
    yield Line(
        None,
        f"  a trial: {_time(to_hint.total_s)} to the step hint of {hint:,}{reached}, "
        f"{_time(to_budget.total_s)} to the budget of "
        f"{_time(cost.limits.max_runtime_s)} charged",
    )
    yield Line(
        None,
        f"  evaluation: {_time(cost.one_eval_s)} each, {to_budget.evaluations} times, "
        f"{to_budget.eval_share:.1%} of a trial's time",
    )
    yield Line(
        None,
        f"  {cost.trials} trial{'s' if cost.trials != 1 else ''}: "
        f"{_machine_hours(cost, 'to_hint')} machine-hours to step hints, at most "
        f"{_machine_hours(cost, 'to_budget')}",
    )


def total_lines(costs: Sequence[Cost], free_bytes: int) -> Iterator[Line]:
    """The sums over workloads, if there are several."""
    if len(costs) < 2:
        return
    yield from _total_hours(costs)
    disk_bytes = sum(cost.disk_bytes or 0 for cost in costs)
    yield from _disk("all together", "all: ", disk_bytes, free_bytes)


def _total_hours(costs: Sequence[Cost]) -> Iterator[Line]:
    known = [cost for cost in costs if cost.to_hint and cost.to_budget]
    if not known:
        return
    hint_s = sum(c.trials * c.to_hint.total_s for c in known if c.to_hint)
    budget_s = sum(c.trials * c.to_budget.total_s for c in known if c.to_budget)
    derived = sum(not cost.measured for cost in known)
    said = f", {derived} of them derived and not measured" if derived else ""
    yield Line(
        None,
        f"all: {sum(c.trials for c in known)} trials on {len(known)} workloads{said}: "
        f"{hint_s / HOUR_S:,.1f} machine-hours to step hints, at most "
        f"{budget_s / HOUR_S:,.1f}",
    )


def _machine_hours(cost: Cost, which: str) -> str:
    own: Course = getattr(cost, which)
    return f"{cost.trials * own.total_s / HOUR_S:,.2f}"


def _gb(size_bytes: float) -> str:
    if size_bytes < 1e8:
        return f"{size_bytes / 1e6:,.1f} MB"
    return f"{size_bytes / 1e9:,.1f} GB"


def _time(seconds: float) -> str:
    if seconds >= HOUR_S:
        return f"{seconds / HOUR_S:,.1f} h"
    return f"{seconds / 60:,.1f} min" if seconds >= 60 else f"{seconds:.3g} s"
