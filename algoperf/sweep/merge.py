"""Joins experiment folders of several machines: everything or, on a conflict, nothing.

All conflicts are found before the first file is written. A trial is copied into a
folder beside its place and renamed, so that it is there whole or not at all; nothing
is overwritten, and what was copied is read again and compared.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.facts import UserError
from algoperf.sweep.record import FILE, FOLDER
from algoperf.sweep.scan import find_trials, is_running
from algoperf.sweep.tasks import Task

_SHOWN = 10
_CHUNK_BYTES = 1 << 20
# What the trials of one submission on one workload may differ in.
_OWN_SETTINGS = ("seed", "hyperparameters")

Study = tuple[str, int, str]  # submission, study, workload


@dataclass(frozen=True)
class Merge:
    """What a merge will do: trials to copy, by task, and the plans of studies."""

    copies: Mapping[Task, Path]
    already: int  # trials that are there, or twice with equal content
    plans: Mapping[Study, dict[str, Any]]
    sweep: dict[str, Any] | None


def plan_merge(sources: Sequence[Path], into: Path) -> Merge:
    """Compares the folders and finds what has to be copied.

    Raises:
      UserError: a folder without trials, a trial that runs, or conflicts: another
        content of the same trial, another seed or other points of the same study,
        other settings within one submission and workload.
    """
    conflicts: list[str] = []
    chosen: dict[Task, Path] = {}
    copies: dict[Task, Path] = {}
    already = 0
    for root in (into, *sources):
        trials = dict(find_trials(root))
        if not trials and root != into:
            raise UserError(
                f"{root} has no trials (SUBMISSION/study_S/WORKLOAD_jax/trial_N); "
                "`algoperf merge` takes experiment_dirs."
            )
        for task, text in trials.items():
            folder = Path(text)
            if is_running(folder):
                lock = folder / records.LOCK
                conflicts.append(
                    f"{folder}: a process runs it ({lock.read_text()}); wait for its "
                    f"end, or delete {records.LOCK} if that machine has crashed"
                )
            if task not in chosen:
                chosen[task] = folder
                if root != into:
                    copies[task] = folder
                continue
            already += 1
            changed = _differing(chosen[task], folder)
            if changed:
                conflicts.append(
                    f"{task}: {chosen[task]} and {folder} differ in {changed}"
                )
    plans = _joined_plans(chosen, (into, *sources), conflicts)
    _check_settings(chosen, conflicts)
    if conflicts:
        raise UserError(_refusal(conflicts))
    sweep = _joined_sweeps((into, *sources))
    return Merge(copies, already, plans, sweep)


def carry_out(merge: Merge, into: Path) -> None:
    """Copies what is missing, then reads the copies again.

    Raises:
      UserError: the folder cannot be written, or a copy differs from what it was made
        of; what was copied before stays, and the same merge goes on from there.
    """
    try:
        for task, source in merge.copies.items():
            target = records.trial_folder(
                into / task.submission, task.study, task.workload, task.trial
            )
            _copy(source, target)
            _verify(source, target)
        for (submission, study, workload), plan in merge.plans.items():
            folder = records.workload_folder(into / submission, study, workload)
            records.write_json(folder.with_suffix(".json"), plan)
        if merge.sweep is not None:
            (into / FOLDER).mkdir(parents=True, exist_ok=True)
            records.write_json(into / FOLDER / FILE, merge.sweep)
    except OSError as error:
        raise UserError(
            f"cannot write to {into}: {error.strerror or error}. Nothing was "
            "overwritten; the same merge goes on where it stopped."
        ) from error


def digest(folder: Path) -> dict[str, str]:
    """A hash of every file of a trial, by its path; lock files apart."""
    found: dict[str, str] = {}
    for file in _files(folder):
        sha = hashlib.sha256()
        with open(file, "rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                sha.update(chunk)
        found[str(file.relative_to(folder))] = sha.hexdigest()
    return found


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            if name != records.LOCK:
                yield Path(root, name)


def _differing(one: Path, other: Path) -> str:
    """The files in which two folders of a trial differ, in words; '' for none."""
    left, right = digest(one), digest(other)
    names = sorted(n for n in left.keys() | right.keys() if left.get(n) != right.get(n))
    more = f" and {len(names) - 3} more files" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _joined_plans(
    trials: Iterable[Task], roots: Sequence[Path], conflicts: list[str]
) -> dict[Study, dict[str, Any]]:
    """The plan of every study: of those that begin equally, the longest one."""
    joined: dict[Study, dict[str, Any]] = {}
    for study in dict.fromkeys((t.submission, t.study, t.workload) for t in trials):
        submission, number, workload = study
        for root in roots:
            file = records.workload_folder(
                root / submission, number, workload
            ).with_suffix(".json")
            plan = records.read_json(file)
            if not isinstance(plan, dict) or not isinstance(plan.get("trials"), list):
                continue
            before = joined.setdefault(study, plan)
            if before.get("experiment_seed") != plan.get("experiment_seed"):
                conflicts.append(
                    f"{file}: seed {plan.get('experiment_seed')}, elsewhere "
                    f"{before.get('experiment_seed')}: not the same study"
                )
                continue
            pairs = zip(before["trials"], plan["trials"], strict=False)
            if any(old != new for old, new in pairs):
                conflicts.append(f"{file}: other points or seeds than elsewhere")
            elif len(plan["trials"]) > len(before["trials"]):
                joined[study] = plan
    return joined


def _check_settings(trials: Mapping[Task, Path], conflicts: list[str]) -> None:
    """Trials that are scored together have to be of the same code and limits."""
    first: dict[tuple[str, str], tuple[Path, dict[str, Any]]] = {}
    for task, folder in trials.items():
        record = records.read_json(folder / records.TRIAL)
        settings = record.get("settings") if isinstance(record, dict) else None
        if not isinstance(settings, dict):
            continue  # another program's: nothing is known of it
        own = {k: v for k, v in settings.items() if k not in _OWN_SETTINGS}
        other_folder, other = first.setdefault(task[:2], (folder, own))
        names = [k for k in own.keys() | other.keys() if own.get(k) != other.get(k)]
        if names:
            conflicts.append(
                f"{folder} and {other_folder} have other settings: "
                f"{', '.join(sorted(names))}"
            )


def _joined_sweeps(roots: Sequence[Path]) -> dict[str, Any] | None:
    """The plans of all sweeps, for `algoperf status`; None if there were none."""
    found = [records.read_json(root / FOLDER / FILE) for root in roots]
    sweeps = [own for own in found if isinstance(own, dict) and "plans" in own]
    if not sweeps:
        return None
    plans: list[Any] = []
    for sweep in sweeps:
        plans += [plan for plan in sweep["plans"] if plan not in plans]
    return {"seed": sweeps[0].get("seed"), "plans": plans}


def _copy(source: Path, target: Path) -> None:
    """A folder in one piece, and the log beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".merge_") as folder:
        new = Path(folder) / target.name
        shutil.copytree(source, new, ignore=shutil.ignore_patterns(records.LOCK))
        # A folder that is not empty is never replaced by a rename.
        os.rename(new, target)
    log, copied = source.with_suffix(".log"), target.with_suffix(".log")
    if log.is_file() and not copied.exists():
        records.write_text(copied, log.read_text(encoding="utf-8", errors="replace"))


def _verify(source: Path, target: Path) -> None:
    if digest(source) != digest(target):
        raise UserError(
            f"{target} is not equal to {source} after copying: "
            f"{_differing(source, target)}. Did a process write to it "
            "meanwhile? Delete it and merge again."
        )


def _refusal(conflicts: Sequence[str]) -> str:
    more = len(conflicts) - _SHOWN
    lines = [*conflicts[:_SHOWN], *([f"... and {more} more"] if more > 0 else [])]
    return (
        "these folders cannot be joined, and nothing was copied:\n  "
        + "\n  ".join(lines)
        + "\nLeave one of two such folders out, or move the trial you do not want."
    )
