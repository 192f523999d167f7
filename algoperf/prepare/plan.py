"""What the preparation of a data set consists of: data and plain functions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf.prepare.manifest import Entry

Raw = Mapping[str, Path]  # RawFile.name -> where it was found
Made = Mapping[str, Entry]  # Unit.path -> what was made


@dataclass(frozen=True)
class RawFile:
    """A file that a preparation starts from.

    `digest` is the published checksum (`sha256:...` or `md5:...`) and goes with
    `bytes`; both are empty where none is published. `url` is the official address, or
    "" where the user has to ask for the file; `how_to_get` then says whom. Others
    publish the same file under the names `also_named`.
    """

    name: str
    bytes: int | None = None
    digest: str = ""
    url: str = ""
    how_to_get: str = ""
    also_named: tuple[str, ...] = ()


@dataclass(frozen=True)
class Places:
    """Where raw files are looked for: `folder` is that of the data set."""

    raw_dir: Path
    folder: Path

    def find(self, file: RawFile) -> Path | None:
        """The file under its own name, or under another if it has the right size."""
        others = (
            path
            for name in file.also_named
            for path in self._named(name)
            # Such names are common: files of other data sets have them too.
            if path.stat().st_size == file.bytes
        )
        return next(self._named(file.name), None) or next(others, None)

    def _named(self, name: str) -> Iterator[Path]:
        """Files of this name: in `raw_dir` or up to two folders below, in `folder` or
        one below, or beside `folder` under exactly this name.

        Of a name such as `LibriSpeech/dev-clean`, `raw_dir` may be the first folder.
        """
        first, _, rest = name.partition("/")
        names = self.raw_dir.absolute().name, self.raw_dir.resolve().name
        for place, patterns in (
            (self.raw_dir, (name, f"*/{name}", f"*/*/{name}")),
            (self.raw_dir, (rest,) if rest and first in names else ()),
            (self.folder, (name, f"*/{name}")),
            (self.folder.parent, (name,)),
        ):
            for pattern in patterns:
                yield from sorted(place.glob(pattern))


@dataclass(frozen=True)
class Unit:
    """One file to make, independent of all others.

    `make(path)` writes the whole file to `path` and returns how many examples are in
    it; it must write the same bytes every time. `bytes` is about the size. With
    `adopt` the file is there already, and `make` only checks and counts.
    """

    path: str  # relative to the folder of the data set
    split: str  # a key of Part.examples, or "" where nothing is counted
    bytes: int
    make: Callable[[Path], int]
    adopt: bool = False


@dataclass(frozen=True)
class Source:
    """One way to a part of a data set.

    `units(raw, folder)` lists the work; it may look at what is quick to read.
    `finish(raw, folder, made)` is called when every unit is done and the counts are
    right. It writes what makes the part readable (such as indexes), and returns the
    paths of these files relative to the folder.
    """

    name: str
    files: tuple[RawFile, ...]
    units: Callable[[Raw, Path], Sequence[Unit]]
    finish: Callable[[Raw, Path, Made], Sequence[str]]


@dataclass(frozen=True)
class Part:
    """A part of a data set, and its sources: the first that is there is taken."""

    name: str
    examples: Mapping[str, int]  # per split, what a whole data set has
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Preparation:
    """All of a data set. `bytes_per_s` is about what one core gets done.

    Of a `small` one, raw files that are missing are downloaded without being asked for.
    """

    folder: str  # below --data_dir
    summary: str
    parts: tuple[Part, ...]
    bytes_per_s: float = 150e6
    small: bool = False


def nothing_to_finish(raw: Raw, folder: Path, made: Made) -> Sequence[str]:
    """For sources whose units are all there is."""
    return ()
