"""Which files of a study somebody else than the harness wrote."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import records

UNKNOWN = "a file in the trial folder that the harness did not write"
CHANGED = "a file of a finished trial was changed while this one ran"

_OURS = re.compile(
    r"(eval_measurements|measurements|superseded_\w+)\.csv|trackers\.json|\.lock|"
    r"(trial|hparams|(meta_data|flags)_\d+)\.json|checkpoints|profile|tensorboard|"
    r"wandb|mlruns|mlflow|(process_\d+_)?hang\.txt|\.(\S+\.(json|csv))\.\S+"
)

# File -> (time of the last change, bytes); None of what may still change.
Files = dict[Path, tuple[int, int] | None]


def finished_files(trial: Path) -> Files:
    """The files of the other trials of a study that have ended."""
    found: Files = {}
    for other in sorted(trial.parent.glob("trial_*")):
        if other == trial or not other.is_dir():
            continue
        record = records.read_json(other / records.TRIAL)
        if isinstance(record, dict) and record.get("outcome") is not None:
            found |= _files(other)
            if is_watched(record) is False:
                found[other / records.TRIAL] = None
    return found


def is_watched(record: Mapping[str, Any]) -> bool | None:
    """Whether the watcher of an isolated trial has written what it adds to the record.

    It does so after the trial's own process has ended. None if nobody will: the trial
    was not isolated, or the record is not the harness's.
    """
    environments = record.get("environments")
    last = environments[-1] if isinstance(environments, list) and environments else {}
    isolation = last.get("isolation") if isinstance(last, dict) else None
    return isolation.get("watched") if isinstance(isolation, dict) else None


def changed_files(before: Files) -> list[Path]:
    """Files that are not as they were, that are new, or that are gone."""
    folders = {
        next(p for p in path.parents if p.name.startswith("trial_")) for path in before
    }
    after: Files = {}
    for folder in folders:
        after |= _files(folder)
    changed = [
        path for path in before.keys() | after.keys() if _odd(path, before, after)
    ]
    return sorted(changed)


def unknown_files(trial: Path) -> list[Path]:
    """What is in a trial's folder and has no name that the harness gives."""
    return sorted(p for p in trial.iterdir() if not _OURS.fullmatch(p.name))


def _odd(path: Path, before: Files, after: Files) -> bool:
    # The lock says who looks at a folder: it is written by reading.
    if path.name == records.LOCK or before.get(path, ()) is None:
        return False
    return before.get(path) != after.get(path)


def _files(folder: Path) -> Files:
    found: Files = {}
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            found[path] = status.st_mtime_ns, status.st_size
    return found
