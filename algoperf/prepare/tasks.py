"""Finds out what is still to do of a preparation, and says it before it begins."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare import raw as raw_files
from algoperf.prepare.download import fetch
from algoperf.prepare.manifest import Manifest
from algoperf.prepare.meter import Say, duration, files, size
from algoperf.prepare.plan import Part, Places, Preparation, Raw, RawFile, Source, Unit

# Left over on the disk when all is written, for manifests and file system tables.
SPARE_BYTES = 64_000_000
# About what a core reads and sums of SHA-256 or MD5; slow disks read less.
SUMMED_BYTES_PER_S = 400e6
Sums = Sequence[tuple[RawFile, Path]]


@dataclass(frozen=True)
class Task:
    """What is still to do for one part."""

    part: Part
    source: Source
    raw: Raw
    units: Sequence[Unit]  # all of them
    left: Sequence[Unit]


def find_tasks(
    preparation: Preparation,
    manifest: Manifest,
    places: Places,
    say: Say,
    *,
    skip_checksums: bool,
    download: bool | None,
) -> tuple[list[Task], Sums]:
    """What is left to make, and the raw files whose checksums are to be compared.

    Downloads what is missing and may be. Says what is needed before anything is
    fetched or made.

    Raises:
      UserError: raw files are missing or have another size, or the disk is too small.
    """
    allowed = preparation.small if download is None else download
    say(f"{preparation.summary} -> {places.folder}")
    parts = [part for part in preparation.parts if part.name not in manifest.finished]
    sources = [
        raw_files.choose(part, manifest.sources.get(part.name), places, allowed)
        for part in parts
    ]
    _download(sources, places, say)
    tasks = [
        _task(part, source, manifest, places, skip_checksums)
        for part, source in zip(parts, sources, strict=True)
    ]
    sums = [] if skip_checksums else _sums(tasks, manifest)
    _announce(places.folder, tasks, sums, preparation.bytes_per_s, say)
    _check_space(places.folder, _bytes_to_make(tasks))
    return tasks, sums


def _download(sources: Sequence[Source], places: Places, say: Say) -> None:
    """Says what is missing and how large it is, looks at the disk, and fetches it."""
    absent = {
        file.name: file
        for source in sources
        for file in raw_files.absent_files(source, places)
    }
    if not absent:
        return
    say(f"  to download, into {places.raw_dir}:")
    raw_files.tell_downloads(absent.values(), say)
    places.raw_dir.mkdir(parents=True, exist_ok=True)
    _check_space(places.raw_dir, sum(file.bytes or 0 for file in absent.values()))
    for file in absent.values():
        fetch(file, places.raw_dir, say)


def _task(
    part: Part, source: Source, manifest: Manifest, places: Places, skip_checksums: bool
) -> Task:
    """What is left of a part; sizes are compared first, as that takes no time."""
    raw = raw_files.located(source, places)
    if not skip_checksums:
        raw_files.check_sizes(source, raw)
    units = source.units(raw, places.folder)
    left = [unit for unit in units if unit.path not in manifest.files]
    return Task(part, source, raw, units, left)


def _sums(tasks: Sequence[Task], manifest: Manifest) -> Sums:
    """The raw files whose checksums are to be compared, and where they are.

    Where nothing is left to make, the raw files have done their service.
    """
    return [
        (file, task.raw[file.name])
        for task in tasks
        if task.left
        for file in raw_files.unchecked(task.source, task.raw, manifest)
    ]


def _announce(
    folder: Path,
    tasks: Sequence[Task],
    sums: Sums,
    bytes_per_s: float,
    say: Say,
) -> None:
    for task in tasks:
        say(f"  {task.part.name} from {task.source.name}:")
        raw_files.tell(task.source, task.raw, say)
        new = [unit for unit in task.left if not unit.adopt]
        known = len(task.units) - len(task.left)
        say(
            f"    {files(len(new))} to make, {size(sum(u.bytes for u in new))}; "
            f"{known:,} done before, {len(task.left) - len(new):,} to take as they are"
        )
    work_bytes = sum(unit.bytes for task in tasks for unit in task.left)
    sum_bytes = sum(path.stat().st_size for _, path in sums)
    seconds = work_bytes / bytes_per_s + sum_bytes / SUMMED_BYTES_PER_S
    checksums = f", with {size(sum_bytes)} to read for checksums" if sums else ""
    free = size(shutil.disk_usage(folder).free)
    say(f"  free on the disk: {free}; takes about {duration(seconds)}{checksums}")


def _bytes_to_make(tasks: Sequence[Task]) -> int:
    return sum(unit.bytes for task in tasks for unit in task.left if not unit.adopt)


def _check_space(folder: Path, bytes_to_write: int) -> None:
    need_bytes = bytes_to_write + SPARE_BYTES
    free_bytes = shutil.disk_usage(folder).free
    if need_bytes > free_bytes:
        raise UserError(
            f"{folder} needs {size(need_bytes)} on its disk, and {size(free_bytes)} "
            "are free. Make room, or give another --data_dir or --raw_dir."
        )
