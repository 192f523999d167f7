"""`prepare.json`: what is done of a preparation. Standard library only."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from algoperf.facts import UserError
from algoperf.records import read_json, write_json

NAME = "prepare.json"
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """A file that was made, whole, and is on the disk."""

    part: str
    split: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class CheckedRaw:
    """A raw file whose checksum was right; the same file is not read twice."""

    bytes: int
    modified_ns: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """The state of a preparation; every change is a new manifest.

    `sources` says what each part is made from: a resumed preparation goes on with the
    same. `finished` are the parts that can be read; `complete` says that all can.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, CheckedRaw] = field(default_factory=dict)
    files: Mapping[str, Entry] = field(default_factory=dict)
    finished: tuple[str, ...] = ()
    complete: bool = False

    def with_source(self, part: str, source: str) -> "Manifest":
        """The same, with what a part is made from."""
        return replace(self, sources={**self.sources, part: source})

    def with_raw(self, path: Path, digest: str) -> "Manifest":
        """The same, with a raw file that has the right checksum."""
        state = path.stat()
        checked = CheckedRaw(state.st_size, state.st_mtime_ns, digest)
        return replace(self, raw={**self.raw, str(path.resolve()): checked})

    def has_checked(self, path: Path, digest: str) -> bool:
        """Whether exactly this raw file has been checked before."""
        state = path.stat()
        known = self.raw.get(str(path.resolve()))
        return known == CheckedRaw(state.st_size, state.st_mtime_ns, digest)

    def with_file(self, path: str, entry: Entry) -> "Manifest":
        """The same, with one more file."""
        return replace(self, files={**self.files, path: entry})

    def without_files(self, paths: set[str]) -> "Manifest":
        """The same without these files, and so not complete any more."""
        if not paths:
            return self
        broken = {self.files[path].part for path in paths}
        return replace(
            self,
            files={p: entry for p, entry in self.files.items() if p not in paths},
            finished=tuple(part for part in self.finished if part not in broken),
            complete=False,
        )

    def gone(self, folder: Path) -> set[str]:
        """The files that are not there any more, or have another size."""
        return {
            path
            for path, entry in self.files.items()
            if not (folder / path).is_file()
            or (folder / path).stat().st_size != entry.bytes
        }

    def with_finished(self, part: str) -> "Manifest":
        """The same, with one more part that can be read."""
        return replace(self, finished=(*self.finished, part))

    def of_part(self, part: str) -> dict[str, Entry]:
        """The files of one part."""
        return {p: entry for p, entry in self.files.items() if entry.part == part}


def load(folder: Path) -> Manifest | None:
    """The manifest of a folder, or None where nothing was prepared.

    Raises:
      UserError: there is one, but it cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return _from_plain(read_json(path))
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"{path} is not a manifest that this version can read. Delete it, and run "
            "`algoperf prepare` again: it makes the files anew."
        ) from None


def save(folder: Path, manifest: Manifest) -> None:
    """Replaces the manifest of a folder in one piece."""
    plain = asdict(manifest)
    write_json(folder / NAME, {"format": FORMAT, **plain})
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _from_plain(plain: Any) -> Manifest:
    if plain["format"] != FORMAT:
        raise KeyError("format")
    return Manifest(
        sources=dict(plain["sources"]),
        raw={name: CheckedRaw(**row) for name, row in plain["raw"].items()},
        files={name: Entry(**row) for name, row in plain["files"].items()},
        finished=tuple(plain["finished"]),
        complete=bool(plain["complete"]),
    )
