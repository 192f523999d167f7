"""Reads one eval_measurements.csv: whatever is in it, in one pass, without failing."""

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scoring.health import Effect, HealthNote
from scoring.rows import EvalRow, EvalRows

TIME_COLUMNS = ("accumulated_submission_time", "score")
STEP_COLUMN = "global_step"
# Seconds that are not the submission's, by account, summed up to the row.
UNCHARGED_COLUMNS = {
    "evaluation": "accumulated_eval_time",
    "logging": "accumulated_logging_time",
}
# What a line of finite numbers is made of. NaN and infinity have other letters.
_ORDINARY = b"0123456789.,eE+-\n"


class Columns(NamedTuple):
    """Where the cells are that scoring reads; `step` is -1 if there is none.

    `uncharged` are those of `UNCHARGED_COLUMNS` that are there, by account.
    """

    width: int
    time: int
    step: int
    value: int
    uncharged: dict[str, int]


class EvalFile(NamedTuple):
    """What one file holds: `rows` in file order, `seconds` by account at the last."""

    rows: EvalRows
    notes: tuple[HealthNote, ...] = ()
    seconds: dict[str, float] = {}  # noqa: RUF012 - never changed


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
    last: list[str] | None = None  # the cells of the last row that was read

    def note(self, what: str, effect: Effect, detail: str = "") -> None:
        self.notes.append(HealthNote(self.where, what, effect, detail))


def read_rows(path: Path, where: str, metric_column: str) -> EvalFile:
    """The evaluations of one trial in file order, and what is odd about the file.

    A row is used if its time and metric can be read (an empty metric cell is how
    pandas writes NaN: read, but never reached). Every other row is left out and
    noted, as is a file that cannot be read at all.
    """
    reader = _Reader(where, metric_column)
    try:
        content = path.read_bytes()
    except OSError as error:
        reader.note(
            "eval_measurements.csv cannot be read",
            "counted as not reached",
            error.strerror or str(error),
        )
        content = b""
    # Most files are plain tables of numbers, and quick to read; in all others every
    # line gets a closer look.
    found = _ordinary(reader, content)
    if found is None:
        # Replaced bytes make a cell unreadable, which is noted, instead of the file.
        text = content.decode("utf-8-sig", errors="replace")
        for line in io.StringIO(text, newline=None):
            _take(reader, line)
        rows = EvalRows.of(reader.rows)
        found = EvalFile(rows, seconds=_seconds(reader))
        _note_about_file(reader)
    _note_about_order(reader, found.rows)
    return found._replace(notes=tuple(reader.notes))


def _ordinary(reader: _Reader, content: bytes) -> EvalFile | None:
    """The file if it is a header and two or more lines of finite numbers, else None."""
    header, _, body = content.partition(b"\n")
    if body.translate(None, _ORDINARY) or not body.endswith(b"\n"):
        return None
    names = [name.strip() for name in header.decode("utf-8-sig", "replace").split(",")]
    columns = _columns(names, reader.metric_column)
    lines = [line.split(b",") for line in body.split(b"\n")[:-1]]
    if columns is None or len(lines) < 2 or {*map(len, lines)} != {columns.width}:
        return None
    if b",," in body or not all(line[0] and line[-1] for line in lines):
        return None  # an empty cell
    try:
        times, values = (
            np.array([float(line[column]) for line in lines])
            for column in (columns.time, columns.value)
        )
        steps = np.full(len(lines), np.nan)
        if columns.step >= 0:
            steps[:] = [float(line[columns.step]) for line in lines]
        seconds = {
            account: float(lines[-1][column])
            for account, column in columns.uncharged.items()
        }
    except ValueError:
        return None
    known_steps = steps if columns.step >= 0 else steps[:0]
    numbers = [*times, *values, *known_steps, *seconds.values()]
    if not np.isfinite(numbers).all() or (known_steps % 1).any():
        return None  # a number too large for a float, or a step that is not whole
    _note_doubles(reader, names)
    rows = EvalRows(np.arange(len(lines), dtype=np.int32), times, steps, values)
    return EvalFile(rows, seconds={"submission": float(times[-1]), **seconds})


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
    reader.last = cells
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
    reader.columns = _columns(cells, reader.metric_column)
    if reader.columns is None:
        has_time = set(TIME_COLUMNS) & set(cells)
        reader.note(
            f"no column {reader.metric_column if has_time else TIME_COLUMNS[0]}",
            "row ignored" if reader.rows else "counted as not reached",
            f"columns: {', '.join(cells)}",
        )
    _note_doubles(reader, cells)


def _note_doubles(reader: _Reader, names: list[str]) -> None:
    if len({*names}) == len(names):
        return
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            reader.note("column twice: the first one is read", "nothing", name)


def _columns(names: list[str], metric_column: str) -> Columns | None:
    """Where to read, or None if a header lacks the time or the metric."""
    time = next((name for name in TIME_COLUMNS if name in names), None)
    if time is None or metric_column not in names:
        return None
    return Columns(
        len(names),
        names.index(time),
        names.index(STEP_COLUMN) if STEP_COLUMN in names else -1,
        names.index(metric_column),
        {
            account: names.index(name)
            for account, name in UNCHARGED_COLUMNS.items()
            if name in names
        },
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


def _seconds(reader: _Reader) -> dict[str, float]:
    if reader.columns is None or reader.last is None:
        return {}
    found = {"submission": reader.rows[-1].time_s}
    for account, column in reader.columns.uncharged.items():
        seconds = _number(reader.last[column])
        if seconds is not None and math.isfinite(seconds):
            found[account] = seconds
    return found


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


def _note_about_order(reader: _Reader, rows: EvalRows) -> None:
    times, steps = np.diff(rows.time_s), np.diff(rows.step)
    # An unknown step is like any other unknown one, and before none.
    same_step = (steps == 0) | (np.isnan(rows.step[1:]) & np.isnan(rows.step[:-1]))
    # A resumed trial takes up the clock of its checkpoint together with the step. A
    # clock that goes back alone has lost seconds: nobody can say how many.
    back, resumes = times < 0, steps <= 0
    found: list[tuple[str, Effect, np.ndarray]] = [
        ("row repeated", "nothing", (times == 0) & same_step),
        ("time and step go back (resumed)", "nothing", back & resumes),
        (
            "time goes back while the step does not",
            "time counted as written",
            back & ~resumes,
        ),
    ]
    for what, effect, which in found:
        if which.any():
            reader.note(what, effect, _rows(rows.row[1:][which].tolist()))


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
