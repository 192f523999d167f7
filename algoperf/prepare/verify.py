"""Reads everything that a preparation made, and compares it with the manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare import manifest as manifests
from algoperf.prepare.lock import locked
from algoperf.prepare.manifest import Entry, Manifest
from algoperf.prepare.meter import Meter, Say
from algoperf.prepare.plan import Preparation
from algoperf.prepare.raw import digest
from algoperf.prepare.run import check_counts, disk_errors_are_named


@dataclass(frozen=True)
class Damage:
    """A file that is not what was made."""

    path: str
    problem: str


def verify(preparation: Preparation, data_dir: Path, say: Say) -> Sequence[Damage]:
    """What is damaged; its entries leave the manifest, so `prepare` makes them anew.

    Until then the data set counts as partial, and no training reads it.

    Raises:
      UserError: nothing was prepared here, the preparation has not ended, another
        process is at it, or the counts per split are wrong though no file is damaged.
    """
    folder = data_dir / preparation.folder
    manifest = manifests.load(folder)
    if manifest is None:
        raise UserError(
            f"{folder} has no {manifests.NAME}, so nothing says what should be there. "
            "`algoperf prepare` without --verify writes one, for files of AlgoPerf too."
        )
    with disk_errors_are_named(folder), locked(folder):
        manifest = manifests.load(folder) or manifest
        damage = _read_all(folder, manifest, say)
        if damage:
            broken = {one.path for one in damage}
            manifests.save(folder, manifest.without_files(broken))
        if not damage:
            _check_complete(preparation, folder, manifest)
    return damage


def _check_complete(preparation: Preparation, folder: Path, manifest: Manifest) -> None:
    for part in preparation.parts:
        if part.name in manifest.finished:
            check_counts(part, manifest.of_part(part.name))
    missing = [p.name for p in preparation.parts if p.name not in manifest.finished]
    if missing or not manifest.complete:
        raise UserError(
            f"{folder} is not complete: nothing in it is damaged, but its preparation "
            f"has not ended; to make: {', '.join(missing) or 'its last entry'}. The "
            "command without --verify goes on with it."
        )


def _read_all(folder: Path, manifest: Manifest, say: Say) -> list[Damage]:
    total = sum(entry.bytes for entry in manifest.files.values())
    meter = Meter(say, f"reading {folder}", total)
    damage = []
    for path, entry in sorted(manifest.files.items()):
        problem = _problem(folder / path, entry, meter)
        if problem:
            damage.append(Damage(path, problem))
    return damage


def _problem(path: Path, entry: Entry, meter: Meter) -> str:
    """What is wrong with a file, or ""."""
    try:
        found = path.stat().st_size
        if found != entry.bytes:
            return f"has {found:,} bytes, should have {entry.bytes:,}"
        if digest(path, meter=meter) != entry.sha256:
            return "has other content (sha256 differs)"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""
