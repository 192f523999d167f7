"""The files of ogbg-molpcba as OGB publishes them: gzipped CSV without headers.

Nodes and edges of all graphs are listed one after the other, a line each; an edge is
there once, and a line of labels has nothing where a label is missing.
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from algoperf.facts import UserError
from workloads.ogbg.graph_set import (
    EDGE_FEATURES,
    NODE_FEATURES,
    TASKS,
    GraphSet,
    from_numbers,
    small_integers,
)

# Name of a split -> its file of rows, a line each.
SPLIT_FILES = {
    "train": "split/scaffold/train.csv.gz",
    "validation": "split/scaffold/valid.csv.gz",
    "test": "split/scaffold/test.csv.gz",
}
_RAW_FILES = {
    "nodes": "raw/node-feat.csv.gz",
    "edges": "raw/edge-feat.csv.gz",
    "ends": "raw/edge.csv.gz",
    "num_nodes": "raw/num-node-list.csv.gz",
    "num_edges": "raw/num-edge-list.csv.gz",
    "labels": "raw/graph-label.csv.gz",
}
FILES = (*_RAW_FILES.values(), *SPLIT_FILES.values())
_BLOCK_BYTES = 1 << 24  # of text that is parsed at once
_WIDTHS = {
    "nodes": NODE_FEATURES,
    "edges": EDGE_FEATURES,
    "ends": 2,
    "num_nodes": 1,
    "num_edges": 1,
    "labels": TASKS,
}
_SMALL = {"nodes", "edges"}  # most of the numbers: uint8 from the beginning
_COLUMNS = [f"f{i}" for i in range(TASKS)]  # pyarrow's names for columns without a name


class File(NamedTuple):
    """A gzipped file: how errors call it, and how it is opened (still compressed)."""

    name: str
    open: Callable[[], IO[bytes]]


# One of FILES -> where it is.
Files = Callable[[str], File]


def in_folder(path: Path) -> File:
    """A file of its own."""
    return File(str(path), lambda: path.open("rb"))


def in_zip(archive: Path, member: str) -> File:
    """A file in a zip archive."""

    def open_member() -> IO[bytes]:
        with zipfile.ZipFile(archive) as content:
            return io.BytesIO(content.read(member))

    return File(f"{archive}: {member}", open_member)


def read_graphs(files: Files) -> GraphSet:
    """All graphs, in the order of the files.

    Raises:
      UserError: a file is missing or damaged, or the files do not fit each other.
    """
    arrays: dict[str, Any] = {}
    for name, file in _RAW_FILES.items():
        arrays[name] = _read(files(file), small=name in _SMALL)
        found, wanted = arrays[name].shape[1], _WIDTHS[name]
        if found != wanted:
            raise UserError(
                f"{files(file).name} has {found} columns, and should have {wanted}. "
                "Fetch it again."
            )
    for name in ("num_nodes", "num_edges"):
        arrays[name] = _column(files(_RAW_FILES[name]), arrays[name])
    count = len(arrays["labels"])
    for name in ("num_nodes", "num_edges"):
        if len(arrays[name]) != count:
            raise UserError(
                f"{files(_RAW_FILES[name]).name} has {len(arrays[name]):,} lines, and "
                f"{files(_RAW_FILES['labels']).name} has {count:,}, though both have "
                "one a graph. Fetch them again."
            )
    return from_numbers(files(_RAW_FILES["ends"]).name, **arrays)


def read_rows(files: Files, split: str, count: int) -> np.ndarray:
    """The graphs of a split, in increasing order: int [graph].

    Raises:
      UserError: the file is missing or damaged, or names a graph twice, or one that is
        not among the `count` there are.
    """
    file = files(SPLIT_FILES[split])
    rows = np.sort(_column(file, _read(file)))
    if len(rows) and (rows[0] < 0 or rows[-1] >= count):
        raise UserError(
            f"{file.name} names graph {rows[-1] if rows[-1] >= count else rows[0]:,}; "
            f"there are 0 to {count - 1:,}. Fetch it again."
        )
    if len(np.unique(rows)) < len(rows):
        raise UserError(f"{file.name} names a graph twice. Fetch it again.")
    return rows


def _column(file: File, values: np.ndarray) -> np.ndarray:
    """The only column, as integers."""
    if values.shape[1] != 1 or not np.all(values == np.rint(values)):
        raise UserError(f"{file.name} is no list of integers. Fetch it again.")
    return values[:, 0].astype(np.int64)


def _read(file: File, small: bool = False) -> np.ndarray:
    """The numbers of a file, [line, column]; NaN for what is empty.

    They are float32, which has every integer up to 2^24, or uint8 if `small`.
    """
    pyarrow, csv = _pyarrow()
    try:
        with file.open() as compressed, gzip.open(compressed) as text:
            reader = csv.open_csv(
                text,
                csv.ReadOptions(
                    autogenerate_column_names=True, block_size=_BLOCK_BYTES
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(_COLUMNS, pyarrow.float32()),
                    null_values=["", "nan"],
                ),
            )
            blocks = [_numbers(file, block, small) for block in reader]
    except (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file.name} cannot be read: {error}. Fetch it again."
        ) from None
    except pyarrow.ArrowInvalid as error:
        raise UserError(
            f"{file.name} is no table of numbers: {error}. Fetch it again."
        ) from None
    return np.concatenate(blocks)


def _numbers(file: File, block: Any, small: bool) -> np.ndarray:
    columns = [column.to_numpy(zero_copy_only=False) for column in block.columns]
    values = np.stack(columns, axis=1)
    return small_integers(file.name, "features", values, np.uint8) if small else values


def _pyarrow() -> tuple[Any, Any]:
    """Pyarrow and its CSV reader, of the extra `data`."""
    try:
        import pyarrow
        from pyarrow import csv
    except ImportError:
        raise UserError(
            "reading OGB's CSV files needs pyarrow: pip install 'algoperf-jax[data]'"
        ) from None
    return pyarrow, csv
