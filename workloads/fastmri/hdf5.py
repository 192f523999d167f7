"""Reads fastMRI's volumes from the official HDF5 files."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from algoperf.facts import UserError

_KSPACE, _TARGETS, _MAXIMUM = "kspace", "reconstruction_esc", "max"


class Shape(NamedTuple):
    """The slices of a volume, and the sizes of their k-space and square image."""

    slices: int
    rows: int
    columns: int
    size: int


class Slice(NamedTuple):
    """k-space complex64 [rows, columns] and its image float32 [size, size]."""

    kspace: np.ndarray
    target: np.ndarray


class Contents(NamedTuple):
    """All of a volume: k-space and images by slice, and the largest pixel."""

    kspace: np.ndarray
    targets: np.ndarray
    volume_max: float

    @property
    def shape(self) -> Shape:
        """Slices and sizes."""
        slices, rows, columns = self.kspace.shape
        return Shape(slices, rows, columns, self.targets.shape[-1])


def describe(path: Path) -> tuple[Shape, float]:
    """The shape of a volume and its largest pixel, without reading its slices.

    The largest pixel is 0 where the file does not say.

    Raises:
      UserError: the file is damaged, or is not of fastMRI's single-coil data.
    """
    with _opened(path, path) as file:
        return _shape(file, path), _maximum(file, path)


def read_slice(path: Path, index: int) -> Slice:
    """One slice of a volume.

    Raises:
      UserError: the file is damaged, has a number that is not finite, or is not of
        fastMRI's single-coil data.
    """
    with _opened(path, path) as file:
        found = Slice(file[_KSPACE][index], file[_TARGETS][index])
    for key, array in zip((_KSPACE, _TARGETS), found, strict=True):
        if not np.isfinite(array).all():
            raise _damaged(path, f"slice {index} of {key} is not finite")
    return found


def read_volume(source: Path | bytes, name: str | Path) -> Contents:
    """All slices of a volume, from a file or from its content; `name` is for errors.

    Raises:
      UserError: the file is damaged, has a number that is not finite, or is not of
        fastMRI's single-coil data.
    """
    with _opened(source, name) as file:
        _shape(file, name)
        contents = Contents(file[_KSPACE][:], file[_TARGETS][:], _maximum(file, name))
    for key, array in ((_KSPACE, contents.kspace), (_TARGETS, contents.targets)):
        bad = ~np.isfinite(array).all(axis=(1, 2))
        if bad.any():
            raise _damaged(name, f"slice {bad.argmax()} of {key} is not finite")
    return contents


@contextmanager
def _opened(source: Path | bytes, name: str | Path) -> Iterator[Any]:
    h5py = _h5py()
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        with h5py.File(opened, "r") as file:
            yield file
    # What the library raises of a file that is cut short, or has wrong bytes in it.
    except (OSError, KeyError, RuntimeError) as error:
        raise _damaged(name, str(error)) from None


def _h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError:
        raise UserError(
            "fastMRI's HDF5 files are read with the package h5py, which is not "
            "installed: pip install 'algoperf-jax[data]'"
        ) from None
    return h5py


def _maximum(file: Any, name: str | Path) -> float:
    found = np.asarray(file.attrs.get(_MAXIMUM, 0.0))
    is_number = found.size == 1 and np.issubdtype(found.dtype, np.number)
    if not is_number or not 0 <= found.item() < np.inf:
        raise _damaged(name, f"its attribute {_MAXIMUM!r} is {found!s:.40}")
    return float(found.item())


def _shape(file: Any, name: str | Path) -> Shape:
    kspace = _array(file, name, _KSPACE, np.complex64, "slices, rows, columns")
    targets = _array(file, name, _TARGETS, np.float32, "slices, size, size")
    if kspace[0] != targets[0] or targets[1] != targets[2]:
        raise _other(
            name,
            f"{_KSPACE} has the shape {kspace} and {_TARGETS} {targets}; they should "
            "have as many slices, and square images",
        )
    return Shape(*kspace, targets[1])


def _array(
    file: Any, name: str | Path, key: str, dtype: Any, axes: str
) -> tuple[int, int, int]:
    """The shape of an array in the file."""
    if not hasattr(file.get(key), "dtype"):
        raise _other(
            name, f"it has no array {key!r}; it has: {', '.join(file) or 'nothing'}"
        )
    array = file[key]
    if array.dtype != dtype or array.ndim != 3:
        raise _other(
            name,
            f"{key} is {array.dtype} {list(array.shape)}, and should be "
            f"{np.dtype(dtype)} [{axes}]",
        )
    return array.shape


def _damaged(name: str | Path, problem: str) -> UserError:
    return UserError(f"{name} is damaged: {problem}. Unpack or fetch it again.")


def _other(name: str | Path, problem: str) -> UserError:
    return UserError(
        f"{name} is no volume of fastMRI's single-coil data: {problem}. Take the files "
        "of knee_singlecoil_train and knee_singlecoil_val."
    )
