"""Prepares a data set: looks, refuses early, makes file after file, resumes."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare import manifest as manifests
from algoperf.prepare import raw as raw_files
from algoperf.prepare.lock import locked
from algoperf.prepare.manifest import Entry, Manifest
from algoperf.prepare.meter import Meter, Say, files, size
from algoperf.prepare.plan import Part, Places, Preparation, Unit
from algoperf.prepare.tasks import Sums, Task, find_tasks

UNFINISHED = "unfinished"


def prepare(
    preparation: Preparation,
    raw_dir: Path,
    data_dir: Path,
    say: Say,
    *,
    skip_checksums: bool = False,
    download: bool | None = None,
) -> None:
    """Makes everything of a data set that is not there yet.

    Each file is written under another name, synced, renamed and entered in the
    manifest, in this order. So a process that is killed at any point has lost the file
    that it was at, and nothing else.

    Args:
      download: fetch raw files that are missing and have an address; without it, those
        of a small data set are.

    Raises:
      UserError: raw files are missing or wrong, the disk is or gets full, another
        process is at it, or the counts at the end are not those of the data set.
    """
    folder = data_dir / preparation.folder
    with disk_errors_are_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            manifest = manifests.load(folder) or Manifest()
            manifest = manifest.without_files(manifest.gone(folder))
            parts = {part.name for part in preparation.parts}
            if manifest.complete and parts <= set(manifest.finished):
                say(f"{folder} is prepared already; --verify reads it all again.")
                return
            tasks, sums = find_tasks(
                preparation,
                manifest,
                Places(raw_dir, folder),
                say,
                skip_checksums=skip_checksums,
                download=download,
            )
            for task in tasks:
                manifest = manifest.with_source(task.part.name, task.source.name)
            manifests.save(folder, manifest)
            manifest = _check_raw(folder, manifest, sums, say)
            manifest = _make_all(folder, manifest, tasks, say)
            # Before it says that all is done: afterwards nobody looks any more.
            _remove_leftovers(folder)
            manifests.save(folder, replace(manifest, complete=True))
    say(f"{folder} is prepared.")


def _remove_leftovers(folder: Path) -> None:
    """Deletes what killed processes left: files that never got their own names."""
    for pattern in (f".*.{UNFINISHED}", ".*.json.*"):
        for leftover in list(folder.rglob(pattern)):
            leftover.unlink()


@contextlib.contextmanager
def disk_errors_are_named(folder: Path) -> Iterator[None]:
    """Turns what the system says of the disk into an error that says what to do.

    Raises:
      UserError: the disk is full, or the user's quota of it, or may not be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            what = error.filename or folder
            raise UserError(
                f"{what} cannot be used: {error.strerror}. Change its permissions, or "
                "give another --data_dir."
            ) from None
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = size(shutil.disk_usage(folder).free)
        raise UserError(
            f"the disk of {folder} is full ({free} free). What is done is kept: make "
            "room and run the same command again, it goes on from here."
        ) from None


def _check_raw(folder: Path, manifest: Manifest, sums: Sums, say: Say) -> Manifest:
    for file, path in sums:
        meter = Meter(say, f"checking {file.name}", path.stat().st_size)
        raw_files.check_digest(file, path, meter)
        say(f"{file.name}: {file.digest.partition(':')[0]} is right")
        manifest = manifest.with_raw(path, file.digest)
        manifests.save(folder, manifest)
    return manifest


def _make_all(
    folder: Path, manifest: Manifest, tasks: Sequence[Task], say: Say
) -> Manifest:
    for task in tasks:
        total = len(task.units)
        done = total - len(task.left)
        whole_bytes = sum(unit.bytes for unit in task.units)
        left_bytes = sum(unit.bytes for unit in task.left)
        meter = Meter(say, task.part.name, whole_bytes, whole_bytes - left_bytes)
        for unit in task.left:
            entry = _make(folder, task.part.name, unit)
            manifest = manifest.with_file(unit.path, entry)
            manifests.save(folder, manifest)
            done += 1
            meter.add(unit.bytes, f" ({done:,} of {files(total)})")
        manifest = _finish(folder, manifest, task)
        say(f"{task.part.name}: {files(total)}, {_counts(task.part.examples)}")
    return manifest


def _make(folder: Path, part: str, unit: Unit) -> Entry:
    """Makes one file; it appears under its name when it is whole."""
    target = folder / unit.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if unit.adopt:
        return _entry(part, unit.split, unit.make(target), target)
    new = target.with_name(f".{target.name}.{UNFINISHED}")
    try:
        records = unit.make(new)
        entry = _entry(part, unit.split, records, new)
        os.replace(new, target)
        manifests.sync_folder(target.parent)
        return entry
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _entry(part: str, split: str, records: int, path: Path) -> Entry:
    """What the manifest keeps of a file; by then the file is safe on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return Entry(part, split, records, path.stat().st_size, raw_files.digest(path))


def _finish(folder: Path, manifest: Manifest, task: Task) -> Manifest:
    """Compares the counts; only then writes what makes the part readable."""
    made = {unit.path: manifest.files[unit.path] for unit in task.units}
    check_counts(task.part, made)
    for path in task.source.finish(task.raw, folder, made):
        entry = _entry(task.part.name, "", 0, folder / path)
        manifest = manifest.with_file(path, entry)
    manifest = manifest.with_finished(task.part.name)
    manifests.save(folder, manifest)
    return manifest


def check_counts(part: Part, made: Mapping[str, Entry]) -> None:
    """Compares the examples of every split with what the data set has.

    Raises:
      UserError: a split has more or fewer.
    """
    for split, wanted in part.examples.items():
        found = sum(entry.records for entry in made.values() if entry.split == split)
        if found != wanted:
            raise UserError(
                f"{part.name} has {found:,} examples in {split}, and should have "
                f"{wanted:,}: the raw files are incomplete, or others. Fetch them "
                "again, delete prepare.json in the folder of the data set, and run "
                "this again."
            )


def _counts(examples: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in examples.items())
