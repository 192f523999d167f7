"""How a sweep goes: counts for each submission and workload, and a table of them."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from algoperf import watchdog
from algoperf.facts import Facts, reached
from algoperf.sweep.scan import TrialState
from algoperf.sweep.tasks import Task

Key = tuple[str, str]  # submission, workload

_COLUMNS = (
    "submission",
    "workload",
    "done",
    "running",
    "waiting",
    "failed",
    "best",
    "target",
    "fastest",
    "steps",
    "left",
)
_LEFT_ALIGNED = 2  # columns


@dataclass(frozen=True)
class Cell:
    """The trials of one submission on one workload.

    `failed` ones are not among the `done`; what was interrupted is waiting. `best` is
    the best validation metric of all trials, `fastest_s` the fewest submission
    seconds to the target, `steps` those of the trial that runs and is furthest.
    `left_s` are the seconds that processes have still to spend, None if no trial has
    ended yet to go by; they are a mean, not a promise.
    """

    key: Key
    done: int
    running: int
    waiting: int
    failed: int
    best: float | None
    fastest_s: float | None
    steps: int | None
    left_s: float | None

    @property
    def total(self) -> int:
        return self.done + self.running + self.waiting + self.failed


def cell_of(key: Key, states: Sequence[TrialState], facts: Facts | None) -> Cell:
    """Summarizes the trials of one submission on one workload."""
    over = [state for state in states if state.outcome not in (None, "failed")]
    running = [s for s in states if s.outcome is None and s.running]
    waiting = [s for s in states if s.outcome is None and not s.running]
    values = [s.best for s in states if s.best is not None and s.best == s.best]
    best = min if facts is not None and facts.goal == "min" else max
    times = [s.reached_s for s in over if s.reached_s is not None]
    left_s = 0.0 if not running and not waiting else None
    if over and left_s is None:
        usual_s = sum(state.spent_s for state in over) / len(over)
        left_s = sum(max(usual_s - s.spent_s, 0.0) for s in (*running, *waiting))
    return Cell(
        key,
        done=len(over),
        running=len(running),
        waiting=len(waiting),
        failed=len(states) - len(over) - len(running) - len(waiting),
        best=best(values, default=None),
        fastest_s=min(times, default=None),
        steps=max((state.steps for state in running), default=None),
        left_s=left_s,
    )


def cells_of(
    tasks: Iterable[Task],
    states: Mapping[Task, TrialState],
    catalog: Mapping[str, Facts],
) -> list[Cell]:
    """The cells of all tasks, in the order in which tasks come."""
    groups: dict[Key, list[TrialState]] = {}
    never = TrialState()
    for task in tasks:
        groups.setdefault(task[:2], []).append(states.get(task, never))
    return [cell_of(key, own, catalog.get(key[1])) for key, own in groups.items()]


def table(
    cells: Sequence[Cell], catalog: Mapping[str, Facts], most_rows: int | None = None
) -> str:
    """The cells as lines of text; of too many, those that run come first.

    Args:
      catalog: targets, by workload.
      most_rows: None shows all.
    """
    shown = list(cells)
    if most_rows is not None and len(shown) > most_rows:
        shown = sorted(shown, key=lambda cell: not cell.running)[:most_rows]
    rows = [_COLUMNS, *(_row(cell, catalog.get(cell.key[1])) for cell in shown)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if column < _LEFT_ALIGNED else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if len(shown) < len(cells):
        lines.append(f"... and {len(cells) - len(shown)} more rows")
    return "\n".join(lines)


def summary(
    cells: Sequence[Cell], now: datetime.datetime, workers: int | None = None
) -> str:
    """One line over all cells, with the expected end while something runs.

    Args:
      workers: processes at a time; None for as many as run now.
    """
    done, running, waiting, failed, total = (
        sum(getattr(cell, name) for cell in cells)
        for name in ("done", "running", "waiting", "failed", "total")
    )
    text = (
        f"{done:,} of {total:,} trials done, {running:,} running, {waiting:,} waiting, "
        f"{failed:,} failed"
    )
    parallel = min(workers or running, running + waiting)
    if not running or not parallel:
        return text
    known = [cell for cell in cells if cell.left_s is not None]
    unknown = sum(c.running + c.waiting for c in cells if c.left_s is None)
    left_s = sum(cell.left_s or 0.0 for cell in known) / parallel
    end = now + datetime.timedelta(seconds=left_s)
    form = "%H:%M" if end.date() == now.date() else "%Y-%m-%d %H:%M"
    if unknown == running + waiting:
        return f"{text}; end not known yet"
    more = f" and {unknown:,} trials of unknown length" if unknown else ""
    return f"{text}; expected end {end.strftime(form)}{more}"


def hung(states: Mapping[Task, TrialState]) -> list[str]:
    """A line for each trial that is not over and that its watchdog ended."""
    return [
        f"{task}: hung {state.hangs} time(s); the stacks are in its {watchdog.FILE}"
        for task, state in states.items()
        if state.hangs
    ]


def _row(cell: Cell, facts: Facts | None) -> tuple[str, ...]:
    target = "-"
    best = "-" if cell.best is None else f"{cell.best:.4g}"
    if facts is not None:
        sign = ">=" if facts.goal == "max" else "<="
        target = f"{facts.metric} {sign} {facts.validation_target:g}"
        if cell.best is not None and reached(
            cell.best, facts.validation_target, facts.goal
        ):
            best += " *"
    return (
        *cell.key,
        f"{cell.done}/{cell.total}",
        str(cell.running),
        str(cell.waiting),
        str(cell.failed),
        best,
        target,
        "-" if cell.fastest_s is None else f"{cell.fastest_s:,.1f} s",
        "-" if cell.steps is None else f"{cell.steps:,}",
        "-" if cell.left_s is None else in_words(cell.left_s) if cell.left_s else "",
    )


def in_words(seconds: float) -> str:
    """A duration, for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
