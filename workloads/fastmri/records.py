"""Prepared volumes: a NumPy file of records each, so that a slice is one read.

`np.load(path, mmap_mode="r")["kspace"][3]` is the k-space of a volume's slice 3. A
record has the slice's k-space and image, and what is the same in all of a volume: its
name and its largest pixel.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from algoperf.facts import UserError
from workloads.fastmri.hdf5 import Contents, Shape, Slice

_FIELDS = ("kspace", "target", "volume_max", "volume")


class Prepared(NamedTuple):
    """Where the records of a prepared volume are, and what they are."""

    name: str
    shape: Shape
    volume_max: float
    path: Path
    record: np.dtype
    offset_bytes: int


def write_records(path: Path, name: str, contents: Contents) -> int:
    """Writes a volume; returns the number of its slices."""
    slices, rows, columns = contents.kspace.shape
    text = name.encode()
    record = np.dtype(
        [
            ("kspace", "<c8", (rows, columns)),
            ("target", "<f4", contents.targets.shape[1:]),
            ("volume_max", "<f4"),
            ("volume", f"S{len(text)}"),
        ]
    )
    records = np.empty(slices, record)
    records["kspace"], records["target"] = contents.kspace, contents.targets
    records["volume_max"], records["volume"] = contents.volume_max, text
    with open(path, "wb") as file:
        np.save(file, records)
    return slices


def describe(path: Path) -> Prepared:
    """What is in a prepared file, without reading its slices.

    Raises:
      UserError: it is cut short, empty, or something else.
    """
    try:
        records = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    if records.dtype.names != _FIELDS or records.ndim != 1 or not len(records):
        raise _damaged(path, "it has no records of slices")
    rows, columns = records.dtype["kspace"].shape
    size = records.dtype["target"].shape[0]
    return Prepared(
        name=records["volume"][0].decode(),
        shape=Shape(len(records), rows, columns, size),
        volume_max=float(records["volume_max"][0]),
        path=path,
        record=records.dtype,
        offset_bytes=records.offset,
    )


def read_slice(prepared: Prepared, index: int) -> Slice:
    """One slice, with one read; any number of threads may read at once.

    Raises:
      UserError: the file is gone, or ends before the slice does.
    """
    offset_bytes = prepared.offset_bytes + index * prepared.record.itemsize
    try:
        found = np.fromfile(prepared.path, prepared.record, 1, offset=offset_bytes)
    except OSError as error:
        raise _damaged(prepared.path, str(error)) from None
    if not len(found):
        raise _damaged(prepared.path, f"it ends before slice {index} does")
    return Slice(found["kspace"][0], found["target"][0])


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path} is damaged: {problem}. `algoperf prepare --verify` finds all such "
        "files, and `algoperf prepare` makes them again."
    )
