"""The slices of fastMRI's splits by number: prepared, or in the official HDF5 files."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from algoperf.facts import UserError
from workloads.fastmri import hdf5, records
from workloads.fastmri.hdf5 import Shape, Slice

IMAGE_SIZE = 320  # pixels a side
VALIDATION_VOLUMES = 100  # of the official validation set, by name; the rest is test
PREPARED = "slices"
# The names of the official folders, and those that AlgoPerf gives them.
OFFICIAL = ("singlecoil_{}", "knee_singlecoil_{}")
_FOLDER = {"train": "train", "validation": "val", "test": "val"}


class Volume(NamedTuple):
    """A volume: its file's name without ending, and how a slice of it is read."""

    name: str
    path: Path
    shape: Shape
    volume_max: float
    read: Callable[[int], Slice]


class SliceFiles:
    """The slices of one split; any number of threads may read at once.

    Volumes are in the order of their names, slices in that of their volume. Opening
    reads the beginnings of the files; none is kept open.

    Attributes:
      num_columns: of the k-space of each slice, int32 [slice].
      volume_max: the largest pixel of each slice's volume, float32 [slice]; 0 where
        the files do not say.
      rows: of the k-space of every slice.
    """

    def __init__(self, folder: Path, split: str, size: int):
        """Opens `train`, `validation` or `test`; images have `size` pixels a side.

        Raises:
          UserError: a file is damaged, of another size, or of something else.
        """
        volumes = sorted(_volumes(folder, _FOLDER[split]), key=lambda each: each.name)
        if split == "validation":
            volumes = volumes[:VALIDATION_VOLUMES]
        elif split == "test":
            volumes = volumes[VALIDATION_VOLUMES:]
        _check(volumes, size)
        self._volumes = volumes
        slices = [volume.shape.slices for volume in volumes]
        self._volume_of = np.repeat(np.arange(len(volumes)), slices)
        first = np.cumsum([0, *slices])
        self._place = np.arange(first[-1]) - first[self._volume_of]
        columns = np.array([volume.shape.columns for volume in volumes], np.int32)
        maxima = np.array([volume.volume_max for volume in volumes], np.float32)
        self.num_columns = columns[self._volume_of]
        self.volume_max = maxima[self._volume_of]
        self.rows = volumes[0].shape.rows if volumes else 0

    def __len__(self) -> int:
        return len(self._volume_of)

    def __getitem__(self, index: int) -> Slice:
        """One slice.

        Raises:
          UserError: its file is damaged.
        """
        volume = self._volumes[self._volume_of[index]]
        return volume.read(int(self._place[index]))


def official_folder(place: Path, folder: str) -> Path | None:
    """Where below `place` the official files of `train` or `val` are."""
    for name in OFFICIAL:
        found = place / name.format(folder)
        if found.is_dir():
            return found
    return None


def hdf5_files(folder: Path) -> list[Path]:
    """The volumes in a folder, by name; files that are hidden are something else."""
    found = folder.glob("*.h5")
    return sorted(path for path in found if not path.name.startswith("."))


def _volumes(folder: Path, name: str) -> list[Volume]:
    prepared = sorted((folder / PREPARED / name).glob("*.npy"))
    if prepared:
        return [_prepared(path) for path in prepared]
    official = official_folder(folder, name)
    return [_official(path) for path in hdf5_files(official)] if official else []


def _prepared(path: Path) -> Volume:
    found = records.describe(path)
    read = functools.partial(records.read_slice, found)
    return Volume(found.name, path, found.shape, found.volume_max, read)


def _official(path: Path) -> Volume:
    shape, volume_max = hdf5.describe(path)
    read = functools.partial(hdf5.read_slice, path)
    return Volume(path.stem, path, shape, volume_max, read)


def check_shape(name: str | Path, shape: Shape, size: int) -> None:
    """Refuses images of another size, and k-space that is smaller than they are.

    Raises:
      UserError: names the file, and what it has.
    """
    _, rows, columns, found = shape
    if found != size or min(rows, columns) < size:
        raise UserError(
            f"{name} has images of {found}x{found} pixels from {rows}x"
            f"{columns} of k-space, and should have {size}x{size} from {size} or "
            "more each way. Take the files of fastMRI's single-coil knee data."
        )


def _check(volumes: Sequence[Volume], size: int) -> None:
    for volume in volumes:
        check_shape(volume.path, volume.shape, size)
        first = volumes[0]
        if volume.shape.rows != first.shape.rows:
            raise UserError(
                f"{volume.path} has {volume.shape.rows} rows of k-space, and "
                f"{first.path} has {first.shape.rows}; all of a data set must have as "
                "many. Take the files of fastMRI's single-coil knee data."
            )
