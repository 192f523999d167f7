"""Reads one eval_measurements.csv: whatever is in it, in one pass, without failing."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scoring.health import Effect, HealthNote

TIME_COLUMNS = ("accumulated_submission_time", "score")
STEP_COLUMN = "global_step"


class EvalRow(NamedTuple):
    """One evaluation: `row` counts data lines from 0, `time_s` is submission time.

    `step` is None where it cannot be read; `value` is NaN for a diverged model.
    """

    row: int
    time_s: float
    step: int | None
    value: float


class Columns(NamedTuple):
    """Where the cells are that scoring reads; `step` is -1 if there is none."""

    width: int
    time: int
    step: int
    value: int


@dataclass
class _Reader:
    """The state of one pass over one file."""

    where: str
    metric_column: str
    columns: Columns | None = None
    lines: int = 0
    rows: list[EvalRow] = field(default_factory=list)
    notes: list[HealthNote] = field(default_factory=list)
    ignored: dict[str, list[int]] = field(default_factory=dict)  # problem: rows
    shortest_value: int | None = None  # characters, over the finite values so far
    blank_elsewhere: int = 0

    def note(self, what: str, effect: Effect, detail: str = "") -> None:
        self.notes.append(HealthNote(self.where, what, effect, detail))


def read_rows(
    path: Path, where: str, metric_column: str
) -> tuple[tuple[EvalRow, ...], tuple[HealthNote, ...]]:
    """The evaluations of one trial in file order, and what is odd about the file.

    A row is used if its time and metric can be read (an empty metric cell is how
    pandas writes NaN: read, but never reached). Every other row is left out and
    noted, as is a file that cannot be read at all.
    """
    reader = _Reader(where, metric_column)
    try:
        # Replaced bytes make a cell unreadable, which is noted, instead of the file.
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            for line in lines:
                _take(reader, line)
    except OSError as error:
        reader.note(
            "eval_measurements.csv cannot be read",
            "counted as not reached",
            error.strerror or str(error),
        )
    _note_about_file(reader)
    _note_about_order(reader)
    return tuple(reader.rows), tuple(reader.notes)


def _take(reader: _Reader, line: str) -> None:
    if not line.strip():
        return
    # Measurements are numbers: there is no quoted comma to respect, and a stray
    # quotation mark must not swallow the lines after it.
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    if {*TIME_COLUMNS, STEP_COLUMN, reader.metric_column} & set(cells):
        _take_header(reader, cells)
        return
    row = reader.lines
    reader.lines += 1
    if reader.columns is None:
        return
    problem = _problem(reader, cells, ends=line.endswith("\n"))
    if problem:
        reader.ignored.setdefault(problem, []).append(row)
        return
    step = _integer(cells[reader.columns.step]) if reader.columns.step >= 0 else None
    value = cells[reader.columns.value]
    time_s = float(cells[reader.columns.time])
    reader.rows.append(EvalRow(row, time_s, step, float(value or "nan")))
    if math.isfinite(reader.rows[-1].value):
        shortest = reader.shortest_value
        reader.shortest_value = min(len(value), shortest or len(value))
        if "nan" in line.lower() or "" in cells:
            reader.blank_elsewhere += 1


def _take_header(reader: _Reader, cells: list[str]) -> None:
    if reader.lines or reader.columns:
        reader.note("header repeated", "nothing", f"before row {reader.lines}")
    time = next((name for name in TIME_COLUMNS if name in cells), None)
    if time is None or reader.metric_column not in cells:
        reader.columns = None
        missing = TIME_COLUMNS[0] if time is None else reader.metric_column
        reader.note(
            f"no column {missing}",
            "row ignored" if reader.rows else "counted as not reached",
            f"columns: {', '.join(cells)}",
        )
        return
    reader.columns = Columns(
        len(cells),
        cells.index(time),
        cells.index(STEP_COLUMN) if STEP_COLUMN in cells else -1,
        cells.index(reader.metric_column),
    )


def _problem(reader: _Reader, cells: list[str], ends: bool) -> str | None:
    """What makes a row unusable, or None."""
    columns = reader.columns
    assert columns is not None
    if len(cells) != columns.width:
        return "line cut off" if not ends else "row with another number of cells"
    if not ends and columns.value == columns.width - 1:
        # A file that ends inside a number still holds a number, maybe a better one.
        value = cells[-1]
        if not value[-1:].isdigit() or len(value) < (reader.shortest_value or 0):
            return "line cut off"
    time = _number(cells[columns.time])
    if time is None or not math.isfinite(time):
        return "time that is not a number"
    if _number(cells[columns.value] or "nan") is None:
        return f"{reader.metric_column} that is not a number"
    return None


def _note_about_file(reader: _Reader) -> None:
    for problem, rows in reader.ignored.items():
        reader.note(problem, "row ignored", _rows(rows))
    if any(note.effect == "counted as not reached" for note in reader.notes):
        return  # no column, or unreadable: already said
    if reader.columns is None:
        what = "no header" if reader.lines else "empty eval_measurements.csv"
        reader.note(what, "counted as not reached")
    elif not reader.lines:
        reader.note("no row below the header", "counted as not reached")
    elif len(reader.rows) == 1 == reader.lines:
        reader.note("one row only", "nothing", "stopped before a second evaluation?")
    if reader.blank_elsewhere:
        count = f"{reader.blank_elsewhere} of {reader.lines} rows"
        reader.note("NaN or empty cells in other columns", "nothing", count)


def _note_about_order(reader: _Reader) -> None:
    repeated, resumed, lost = [], [], []
    for before, row in zip(reader.rows, reader.rows[1:], strict=False):
        if (row.time_s, row.step) == (before.time_s, before.step):
            repeated.append(row.row)
        elif row.time_s < before.time_s:
            # A resumed trial takes up the clock of its checkpoint together with the
            # step. A clock that goes back alone has lost seconds: nobody can say
            # how many.
            (resumed if _is_before(row, before) else lost).append(row.row)
    if repeated:
        reader.note("row repeated", "nothing", _rows(repeated))
    if resumed:
        reader.note("time and step go back (resumed)", "nothing", _rows(resumed))
    if lost:
        what = "time goes back while the step does not"
        reader.note(what, "time counted as written", _rows(lost))


def _is_before(row: EvalRow, other: EvalRow) -> bool:
    if row.step is None or other.step is None:
        return False
    return row.step <= other.step


def _rows(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:5]))
    return f"row {shown}" + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


def _number(text: str) -> float | None:
    # Python reads "1_000" as a number; no program writes a measurement like that.
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _integer(text: str) -> int | None:
    number = _number(text)
    return None if number is None or not math.isfinite(number) else int(number)
