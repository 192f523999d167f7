"""What people see of a local sweep: a table that updates, or a line for each trial."""

import datetime
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from algoperf.facts import Facts
from algoperf.sweep.scan import TrialState, read_state
from algoperf.sweep.status import Cell, Key, cell_of, summary, table
from algoperf.sweep.tasks import Sweep, Task

REFRESH_S = 1.0
# Lines of a terminal that are not rows of the table.
_OTHER_LINES = 5


class SweepView:
    """Counts the trials of a sweep, and shows them.

    Only the rows that change are counted again: with many thousand trials to count
    all would take the trials' CPU.
    """

    def __init__(
        self,
        sweep: Sweep,
        tasks: Sequence[Task],
        states: Mapping[Task, TrialState],
        catalog: Mapping[str, Facts],
        workers: int,
        stream: TextIO | None = None,
    ):
        self._sweep, self._catalog, self._workers = sweep, catalog, workers
        self._stream = stream or sys.stdout
        self._screen = LiveBlock(self._stream)
        self._states = {task: states.get(task, TrialState()) for task in tasks}
        self._tasks: dict[Key, list[Task]] = {}
        for task in tasks:
            self._tasks.setdefault(task[:2], []).append(task)
        self._cells = {key: self._count(key) for key in self._tasks}
        self._running: set[Task] = set()
        self._next_refresh = 0.0

    def started(self, task: Task) -> None:
        self._running.add(task)
        self._set(task, self._states[task]._replace(running=True))

    def ended(self, task: Task, state: TrialState, problem: str) -> None:
        self._running.discard(task)
        self._set(task, state._replace(running=False))
        if not self._screen.live or problem or state.outcome == "failed":
            said = problem or (
                f"{state.outcome or 'saved'} after {state.steps:,} steps, "
                f"{state.spent_s:.1f} s"
            )
            self._screen.message(f"{task}: {said}")

    def tick(self) -> None:
        """Redraws the table if it is time to."""
        if not self._screen.live or time.monotonic() < self._next_refresh:
            return
        self._next_refresh = time.monotonic() + REFRESH_S
        for task in self._running:
            state = read_state(self._sweep.folder(task))
            self._set(task, state._replace(running=True))
        rows = shutil.get_terminal_size().lines - _OTHER_LINES
        self._screen.draw(self._text(max(rows, 1)))

    def close(self) -> None:
        """Takes the table away; `report` has it."""
        self._screen.clear()

    def report(self) -> str:
        """The whole table and its summary."""
        return self._text(None)

    def failed(self) -> list[Task]:
        """The trials that failed, now or before."""
        return [t for t, state in self._states.items() if state.outcome == "failed"]

    def _text(self, most_rows: int | None) -> str:
        cells: list[Cell] = list(self._cells.values())
        now = datetime.datetime.now()
        return (
            table(cells, self._catalog, most_rows)
            + "\n\n"
            + summary(cells, now, self._workers)
        )

    def _set(self, task: Task, state: TrialState) -> None:
        self._states[task] = state
        self._cells[task[:2]] = self._count(task[:2])

    def _count(self, key: Key) -> Cell:
        own = [self._states[task] for task in self._tasks[key]]
        return cell_of(key, own, self._catalog.get(key[1]))


class LiveBlock:
    """Some lines of a terminal that are drawn over each other; nothing elsewhere."""

    def __init__(self, stream: TextIO):
        self._stream, self._height = stream, 0
        self.live = stream.isatty()

    def draw(self, text: str) -> None:
        """Replaces what was drawn before."""
        width = shutil.get_terminal_size().columns
        lines = [line[: width - 1] for line in text.splitlines()]
        self._write(self._erased() + "\n".join(lines) + "\n")
        self._height = len(lines)

    def message(self, line: str) -> None:
        """A line that stays, above what is drawn next."""
        self._write(self._erased() + line + "\n")
        self._height = 0

    def clear(self) -> None:
        """Takes the lines away."""
        if self._height:
            self._write(self._erased())
        self._height = 0

    def _erased(self) -> str:
        # Up to the first line, and everything below it.
        return f"\x1b[{self._height}F\x1b[J" if self._height else ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self.live = False  # nobody looks any more: the trials go on
