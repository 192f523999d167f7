"""One trial: the first evaluation at the target, with what came just before it."""

import bisect
import math
from dataclasses import dataclass

import numpy as np

from algoperf.facts import Goal, reached
from scoring.health import Effect, HealthNote
from scoring.load import TrialRecord
from scoring.rows import EvalRow, EvalRows
from scoring.rules import WorkloadRule


@dataclass(frozen=True)
class Reach:
    """The row at which a trial reached the target first, and its bracket.

    The target was crossed at some time between `below`, the last evaluation that had
    not reached it (None if the first one had), and `time_s`, which counts.
    `interpolated_s` is the crossing of the straight line between the two.
    """

    trial: int
    row: int
    step: int | None
    time_s: float
    value: float
    below: EvalRow | None = None
    interpolated_s: float | None = None


def rows_that_count(rows: EvalRows, budget_s: float) -> EvalRows:
    """Rows within the budget, in file order.

    Equality counts. NaN, infinite values and times <= 0 never do.
    """
    in_budget = (rows.time_s > 0) & (rows.time_s <= budget_s)
    return rows.keep(in_budget & np.isfinite(rows.value))


def best_so_far(rows: EvalRows, goal: Goal) -> EvalRows:
    """The rows that are better than every row before them; values are finite.

    The first row at any target is always among them.
    """
    if not len(rows):
        return rows
    better = rows.value if goal == "max" else -rows.value
    best = np.maximum.accumulate(better)
    return rows.keep(np.append(True, better[1:] > best[:-1]))


def first_at(best: EvalRows, target: float, goal: Goal) -> EvalRow | None:
    """The first of `best_so_far` rows at a target."""
    values = best.value.tolist()
    if not values or not reached(values[-1], target, goal):
        return None
    return best[
        bisect.bisect_left(values, True, key=lambda v: reached(v, target, goal))
    ]


def find_reach(trial: int, rule: WorkloadRule, counting: EvalRows) -> Reach | None:
    """The first row, in file order, at the target; None if there is none.

    Args:
      trial: its number.
      counting: its rows that count, `rows_that_count`.
    """
    target = rule.validation_target
    row = first_at(best_so_far(counting, rule.goal), target, rule.goal)
    if row is None:
        return None
    before = (counting.row < row.row) & (counting.time_s <= row.time_s)
    below = counting.keep(before)[-1] if before.any() else None
    crossing = None
    if below is not None:
        done = (target - below.value) / (row.value - below.value)
        crossing = below.time_s + done * (row.time_s - below.time_s)
    return Reach(trial, row.row, row.step, row.time_s, row.value, below, crossing)


def notes_about(
    trial: TrialRecord, rule: WorkloadRule, budget_s: float, reach: Reach | None
) -> list[HealthNote]:
    """What is odd about the rows of a trial, and whether it cost the target."""
    notes: list[HealthNote] = []
    rows = trial.rows
    lost: Effect = "counted as not reached" if reach is None else "nothing"

    def at_target(which: np.ndarray) -> list[bool]:
        values = rows.value[which].tolist()
        return [
            math.isfinite(value) and reached(value, rule.validation_target, rule.goal)
            for value in values
        ]

    def note(what: str, effect: Effect, which: np.ndarray) -> None:
        found = rows.row[which]
        count = f"{len(found)} of {len(rows)} rows, first: row {found[0]}"
        notes.append(HealthNote(trial.where, what, effect, count))

    odd = ~np.isfinite(rows.value)
    if odd.any():
        note(f"NaN in {rule.column}", lost, odd)
    early = rows.time_s <= 0
    if early.any():
        rejects = any(at_target(early))
        note("time <= 0", "row ignored" if rejects else "nothing", early)
    late = rows.time_s > budget_s
    if late.any():
        rejects = any(at_target(late))
        note("rows beyond the budget", lost if rejects else "nothing", late)
    if reach is not None:
        after = rows.row > reach.row
        if after.any():
            note("trained on after the target", "nothing", after)
            after[after] = ~np.array(at_target(after))
        if after.any():
            note("fell back after the target", "nothing", after)
    return notes
