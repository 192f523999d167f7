"""Prepares fastMRI: the slices of every volume as records that cost one read each.

The numbers are copied as they are, so runs on prepared and on official files see the
same batches. Of an official file, `kspace` and `reconstruction_esc` are taken.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from algoperf.facts import UserError
from algoperf.prepare.plan import (
    Part,
    Preparation,
    Raw,
    RawFile,
    Source,
    Unit,
    nothing_to_finish,
)
from workloads import tar_members
from workloads.fastmri import hdf5
from workloads.fastmri.files import (
    IMAGE_SIZE,
    OFFICIAL,
    PREPARED,
    check_shape,
    hdf5_files,
)
from workloads.fastmri.records import write_records

_ASK = "fastmri.med.nyu.edu (free, by e-mail)"
_ARCHIVES = ("knee_singlecoil_{}.tar.xz", "knee_singlecoil_{}.tar.gz")


@dataclass(frozen=True)
class Sizes:
    """What the whole data set has; tests have smaller ones.

    `volumes` and `slices` are those of `train` and `val`. `volume_bytes` is about what
    is written of a volume: of an archive, nothing is known before it is read.
    """

    volumes: tuple[int, int] = (973, 199)
    slices: tuple[int, int] = (34_742, 7_135)
    volume_bytes: int = 83_000_000
    image_size: int = IMAGE_SIZE


def preparation(sizes: Sizes | None = None) -> Preparation:
    """fastMRI's single-coil knee data: `train`, and `val` for validation and test."""
    sizes = sizes or Sizes()
    counts = zip(("train", "val"), sizes.volumes, sizes.slices, strict=True)
    return Preparation(
        folder="fastmri",
        summary="fastMRI single-coil knee",
        parts=tuple(
            Part(folder, {folder: slices}, _sources(folder, volumes, sizes))
            for folder, volumes, slices in counts
        ),
        # Reading, writing, and reading again for the checksum; .xz takes longer.
        bytes_per_s=80e6,
    )


def _sources(folder: str, volumes: int, sizes: Sizes) -> tuple[Source, ...]:
    unpacked = [f"{name.format(folder)}/*.h5" for name in OFFICIAL]
    archives = [name.format(folder) for name in _ARCHIVES]
    return (
        *(
            Source(
                name,
                (RawFile(name, how_to_get=archives[0]),),
                functools.partial(_from_files, folder, name, volumes, sizes),
                nothing_to_finish,
            )
            for name in unpacked
        ),
        *(
            Source(
                name,
                (RawFile(name, how_to_get=_ASK),),
                functools.partial(_from_archive, folder, name, volumes, sizes),
                nothing_to_finish,
            )
            for name in archives
        ),
    )


def _from_files(
    folder: str, name: str, volumes: int, sizes: Sizes, raw: Raw, target: Path
) -> list[Unit]:
    """The files beside the one that was found."""
    place = raw[name].parent
    paths = hdf5_files(place)
    if len(paths) != volumes:
        raise _incomplete(place, len(paths), volumes)
    return [
        Unit(
            _path(folder, number),
            folder,
            _bytes(path, sizes.image_size),
            functools.partial(_convert, path),
        )
        for number, path in enumerate(paths)
    ]


def _bytes(path: Path, image_size: int) -> int:
    """What is written of a volume; a wrong file is noticed before work begins."""
    shape, _ = hdf5.describe(path)
    check_shape(path, shape, image_size)
    return shape.slices * (8 * shape.rows * shape.columns + 4 * shape.size**2)


def _convert(source: Path, target: Path) -> int:
    return write_records(target, source.stem, hdf5.read_volume(source, source))


def _from_archive(
    folder: str, name: str, volumes: int, sizes: Sizes, raw: Raw, target: Path
) -> list[Unit]:
    archive = _Archive(raw[name], volumes)
    return [
        Unit(
            _path(folder, number),
            folder,
            sizes.volume_bytes,
            functools.partial(_unpack, archive, number, sizes.image_size),
        )
        for number in range(volumes)
    ]


def _unpack(archive: "_Archive", number: int, image_size: int, target: Path) -> int:
    name, content = archive.volume(number)
    what = f"{name} in {archive.path}"
    contents = hdf5.read_volume(content, what)
    check_shape(what, contents.shape, image_size)
    return write_records(target, PurePosixPath(name).stem, contents)


class _Archive:
    """Names and contents of the volumes in an archive, in its order.

    It can only be read from its beginning, so they are best asked for in order: then
    all of them take one pass, and those that are skipped no more than being read.
    """

    def __init__(self, path: Path, count: int):
        self.path = path
        self._count = count
        self._members = self._volumes()
        self._next = 0

    def volume(self, number: int) -> tuple[str, bytes]:
        if number < self._next:
            self._members, self._next = self._volumes(), 0
        for member in self._members:
            self._next += 1
            if self._next > number:
                return member
        raise _incomplete(self.path, self._next, self._count)

    def _volumes(self) -> Iterator[tuple[str, bytes]]:
        for name, content in tar_members.stream(self.path):
            path = PurePosixPath(name)
            if path.suffix == ".h5" and not path.name.startswith("."):
                yield name, content


def _path(folder: str, number: int) -> str:
    return f"{PREPARED}/{folder}/{number:04}.npy"


def _incomplete(place: Path, found: int, wanted: int) -> UserError:
    return UserError(
        f"{place} has {found:,} volumes, and should have {wanted:,}; fetch or unpack "
        "it again."
    )
