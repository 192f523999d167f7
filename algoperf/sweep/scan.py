"""How far trials are: read from their folders, quickly, without touching them."""

import csv
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from algoperf import records
from algoperf.file_lock import read_holder
from algoperf.sweep.tasks import Task

# The end of a CSV file that holds its last row.
_TAIL_BYTES = 8192


class TrialState(NamedTuple):
    """What a trial folder says.

    `outcome` is None while the trial is not over; `best` is its best validation
    metric, `reached_s` the submission seconds at which it reached the target,
    `spent_s` all its seconds, evaluations included. `running` says whether a process
    has the folder.
    """

    outcome: str | None = None
    steps: int = 0
    best: float | None = None
    reached_s: float | None = None
    spent_s: float = 0.0
    running: bool = False
    metric: str | None = None  # its name, where a trial is not over
    hangs: int = 0  # how often its watchdog ended it, where it is not over


def find_trials(experiment_dir: Path) -> Iterator[tuple[Task, str]]:
    """Every trial folder below an experiment, as its task and its path."""
    for submission in _folders(experiment_dir):
        for study in _folders(submission.path):
            study_number = _number(study.name, "study_")
            if study_number is None:
                continue
            for workload in _folders(study.path):
                name = workload.name.removesuffix(f"_{records.FRAMEWORK}")
                if name == workload.name:
                    continue
                for trial in _folders(workload.path):
                    number = _number(trial.name, "trial_")
                    if number is not None:
                        task = Task(submission.name, name, study_number, number)
                        yield task, trial.path


def read_state(folder: str | Path) -> TrialState:
    """How far one trial is; the initial state for a folder that is not there."""
    try:
        with open(os.path.join(folder, records.TRIAL), encoding="utf-8") as file:
            text = file.read()
        state = _state_of(text)
    except FileNotFoundError:
        state = TrialState()
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return TrialState(running=is_running(folder))  # unreadable: `run` refuses it
    if state.outcome is not None:
        return state
    return _with_last_row(state._replace(running=is_running(folder)), folder)


def is_running(folder: str | Path) -> bool:
    """Whether a process has the folder; of another machine's, whether one had it.

    Nothing is locked to find out: a trial that starts at this moment would fail.
    """
    holder = read_holder(os.path.join(folder, records.LOCK))
    if holder is None:
        return False
    if holder.host != socket.gethostname():
        return True
    try:
        os.kill(holder.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _state_of(text: str) -> TrialState:
    outcome = _field(text, "outcome")
    reached, seconds = _field(text, "reached"), _field(text, "seconds")
    settings = hangs = None
    if outcome is None:
        settings, hangs = _field(text, "settings"), _field(text, "hangs")
    return TrialState(
        outcome=outcome,
        steps=int(_field(text, "steps") or 0),
        best=None if (best := _field(text, "best")) is None else float(best),
        reached_s=reached["submission_s"] if reached else None,
        spent_s=float(seconds["total"]) if seconds else 0.0,
        metric=settings["workload"]["metric"] if settings else None,
        hangs=len(hangs or ()),
    )


def _field(text: str, name: str) -> Any:
    """One value of a `trial.json`; parsing all of it takes ten times as long.

    `records.write_json` indents the names of the record by two blanks, and everything
    inside by more; a text has no line breaks in JSON.
    """
    start = text.find(f'\n  "{name}": ')
    if not text.startswith('{\n  "') or start < 0:
        return json.loads(text).get(name)
    start += len(name) + 7
    end = text.find('\n  "', start)
    value = text[start : end if end >= 0 else text.rindex("\n}")]
    return json.loads(value.removesuffix(","))


def _with_last_row(state: TrialState, folder: str | Path) -> TrialState:
    """An unfinished trial as its last evaluation shows it: newer than its record."""
    try:
        with open(os.path.join(folder, records.EVALS), "rb") as file:
            header = file.readline()
            end = file.seek(0, os.SEEK_END)
            file.seek(max(len(header), end - _TAIL_BYTES))
            tail = file.read()
        lines = tail[: tail.rfind(b"\n") + 1].decode(errors="replace").splitlines()
        columns, values = csv.reader([header.decode(errors="replace"), lines[-1]])
        row = dict(zip(columns, values, strict=True))
        # The record may be newer: a trial that is stopped has no row of its last step.
        return state._replace(
            steps=max(state.steps, int(row[records.STEP])),
            spent_s=max(state.spent_s, float(row["total_duration"])),
            best=float(row[f"validation/{state.metric}"]),
        )
    except (OSError, ValueError, KeyError, IndexError):
        return state  # no evaluation yet, or a row that is being written


def _folders(path: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(
                (
                    entry
                    for entry in entries
                    if not entry.name.startswith(".") and entry.is_dir()
                ),
                key=lambda entry: entry.name,
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def _number(name: str, prefix: str) -> int | None:
    number = name.removeprefix(prefix)
    return int(number) if number != name and number.isdecimal() else None
