"""The trial folder: the only contract between running and scoring.

The layout is AlgoPerf's: `study_S/<workload>_jax/trial_N/` with CSV rows that are
appended and flushed, and JSON files that are written in one piece.
"""

import contextlib
import csv
import datetime
import io
import json
import math
import os
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

Outcome = Literal[
    "reached",
    "out of time",
    "out of steps",
    "stopped by submission",
    "diverged",
    "stopped early",
    "failed",
]

EVALS = "eval_measurements.csv"
MEASUREMENTS = "measurements.csv"
TRIAL = "trial.json"
LOCK = ".lock"
STEP = "global_step"
FRAMEWORK = "jax"


def workload_folder(experiment: Path, study: int, workload: str) -> Path:
    """Where the trials of a study are; its plan is beside it, with `.json`.

    Args:
      experiment: the folder of one submission.
    """
    return experiment / f"study_{study}" / f"{workload}_{FRAMEWORK}"


def trial_folder(experiment: Path, study: int, workload: str, trial: int) -> Path:
    """Where one trial is."""
    return workload_folder(experiment, study, workload) / f"trial_{trial}"


def holder() -> str:
    """This process, as a lock file names the one that holds it: host, number, since."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return f"{socket.gethostname()} {os.getpid()} {now}"


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one piece: readers see the old file or the new one."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Strict JSON: NaN and infinities, which it does not have, become null."""
    text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
    return text + "\n"


def create_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one piece if there is none yet."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new_") as folder:
        new = Path(folder) / path.name
        write_json(new, content)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one piece."""
    with tempfile.NamedTemporaryFile(
        "w",
        dir=path.parent,
        prefix=f".{path.name}.",
        suffix=".tmp",
        delete=False,
        newline="",
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)  # temporary files are private by default
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def remove_unfinished(folder: Path) -> None:
    """Removes what `write_text` had begun in a process that was killed."""
    for file in folder.glob(".*.tmp"):
        file.unlink()


def read_json(path: Path) -> Any | None:
    """The content of a JSON file, or None where there is no readable one."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):  # no JSON, or not even text
        return None


class CsvLog:
    """A CSV file that rows are appended to; a new column rewrites it, in one piece."""

    def __init__(self, path: Path):
        """Opens the log as an earlier process left it, or an empty one."""
        self._path = path
        self.columns, rows = _read_rows(path)
        self.rows = len(rows)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows and flushes them to the disk."""
        rows = list(rows)
        known = set(self.columns)
        new = dict.fromkeys(name for row in rows for name in row if name not in known)
        if new:
            _, old = _read_rows(self._path)
            self.columns += new
            write_text(self._path, self._format([*old, *rows], header=True))
        elif rows:
            with open(self._path, "a", newline="") as file:
                file.write(self._format(rows, header=False))
                file.flush()
                os.fsync(file.fileno())
        self.rows += len(rows)

    def rewind(self, rows: int, superseded: Path) -> None:
        """Goes back to the first `rows` rows; what follows is kept in `superseded`.

        A resumed trial makes these rows again, so they must not stand twice; what the
        interrupted process wrote, even a line cut short, stays readable elsewhere.
        """
        if not self._path.exists():
            return
        _, complete = _read_rows(self._path)
        before = self._path.read_text(errors="replace")
        text = self._format(complete[:rows], header=True) if self.columns else ""
        if text != before:
            # Only what goes, with a header where the file begins.
            gone = before.removeprefix(text)
            header = "" if superseded.exists() else self._format([], header=True)
            with open(superseded, "a") as file:
                file.write(gone if gone == before else header + gone)
            write_text(self._path, text)
        self.rows = min(rows, len(complete))

    def _format(self, rows: Iterable[Mapping[str, Any]], header: bool) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, self.columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()


def _read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and complete rows; a row that a crash cut short is left out."""
    if not path.exists():
        return [], []
    text = path.read_text(errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if not whole:
        return [], []
    header, *rows = csv.reader(io.StringIO(whole, newline=""))
    return header, [
        dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)
    ]


def finite(value: Any) -> Any:
    """The same tree with null for NaN and infinities, which strict JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
