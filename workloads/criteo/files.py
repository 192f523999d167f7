"""The rows of a split: .npy files one after the other, mapped into memory."""

import bisect
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from algoperf.facts import UserError
from workloads.criteo.rows import DTYPE, NUM_COLUMNS


class RowFiles:
    """Rows uint32 [row, 40] of a split, in the order of the raw logs.

    Nothing is read but what is asked for. The system keeps what was read in memory as
    long as there is room; it counts as a file's, not as the process's.
    """

    def __init__(self, folder: Path, split: str, num_rows: int):
        """Maps the files of `folder`/`split`.

        Raises:
          UserError: a file is damaged, or they do not have `num_rows` together.
        """
        self._arrays = [_map(path) for path in sorted((folder / split).glob("*.npy"))]
        self._ends = list(itertools.accumulate(len(array) for array in self._arrays))
        found = self._ends[-1] if self._ends else 0
        if found != num_rows:
            raise UserError(
                f"{folder / split} has {found:,} rows in {len(self._arrays)} files, "
                f"and should have {num_rows:,}. Prepare it again: algoperf prepare."
            )

    def __len__(self) -> int:
        return self._ends[-1]

    def parts(self, start: int, stop: int) -> Sequence[np.ndarray]:
        """Rows `start` to `stop`, as views of the files that have them."""
        parts = []
        number = bisect.bisect_right(self._ends, start)
        while start < stop:
            end = self._ends[number]
            array = self._arrays[number]
            first = start - (end - len(array))
            parts.append(array[first : first + min(stop, end) - start])
            start, number = end, number + 1
        return parts


def _map(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r")
    except (EOFError, OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    if array.dtype != DTYPE or array.shape[1:] != (NUM_COLUMNS,):
        raise _damaged(
            path,
            f"it has {array.dtype} {list(array.shape)}, and should have {DTYPE} "
            f"[rows, {NUM_COLUMNS}]",
        )
    return array


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path} is damaged: {problem}. `algoperf prepare --verify` finds all such "
        "files, and `algoperf prepare` makes them again."
    )
