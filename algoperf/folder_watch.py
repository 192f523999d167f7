"""Which files of a study somebody else than the harness wrote."""

import re
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

# File -> (time of the last change, bytes).
Files = dict[Path, tuple[int, int]]


def finished_files(trial: Path) -> Files:
    """The files of the other trials of a study that have ended."""
    found: Files = {}
    for other in sorted(trial.parent.glob("trial_*")):
        if other == trial or not other.is_dir():
            continue
        if _is_finished(records.read_json(other / records.TRIAL)):
            found |= _files(other)
    return found


def _is_finished(record: Any) -> bool:
    """Whether all is written of a trial: of an isolated one, what its watcher adds."""
    if not isinstance(record, dict) or record.get("outcome") is None:
        return False
    environments = record.get("environments") or [{}]
    isolation = environments[-1].get("isolation")
    return isolation is None or isolation["witnessed_s"] is not None


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
    return path.name != records.LOCK and before.get(path) != after.get(path)


def _files(folder: Path) -> Files:
    found: Files = {}
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            found[path] = status.st_mtime_ns, status.st_size
    return found
