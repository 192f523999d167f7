"""The evaluations of one trial, as columns: trees of 40,000 trials fit in memory."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload

import numpy as np


class EvalRow(NamedTuple):
    """One evaluation: `row` counts data lines from 0, `time_s` is submission time.

    `step` is None where it cannot be read; `value` is NaN for a diverged model.
    """

    row: int
    time_s: float
    step: int | None
    value: float


class EvalRows(Sequence[EvalRow]):
    """Evaluations in file order; columns of equal length, `step` NaN for None."""

    __slots__ = ("row", "step", "time_s", "value")

    def __init__(
        self, row: np.ndarray, time_s: np.ndarray, step: np.ndarray, value: np.ndarray
    ):
        self.row, self.time_s, self.step, self.value = row, time_s, step, value

    @classmethod
    def of(cls, rows: Iterable[EvalRow]) -> "EvalRows":
        """Columns of rows."""
        rows = tuple(rows)
        steps = [np.nan if row.step is None else row.step for row in rows]
        return cls(
            np.array([row.row for row in rows], dtype=np.int32),
            np.array([row.time_s for row in rows], dtype=float),
            np.array(steps, dtype=float),
            np.array([row.value for row in rows], dtype=float),
        )

    def keep(self, which: np.ndarray) -> "EvalRows":
        """The rows where a mask is true, or those at places."""
        return EvalRows(
            self.row[which], self.time_s[which], self.step[which], self.value[which]
        )

    def __len__(self) -> int:
        return len(self.row)

    @overload
    def __getitem__(self, place: int) -> EvalRow: ...

    @overload
    def __getitem__(self, place: slice) -> "EvalRows": ...

    def __getitem__(self, place: int | slice) -> "EvalRow | EvalRows":
        if isinstance(place, slice):
            return self.keep(np.arange(len(self))[place])
        step = float(self.step[place])
        return EvalRow(
            int(self.row[place]),
            float(self.time_s[place]),
            None if np.isnan(step) else int(step),
            float(self.value[place]),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EvalRows):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name), equal_nan=True)
            for name in self.__slots__
        )

    def __repr__(self) -> str:
        return f"EvalRows({list(self)})"


NO_ROWS = EvalRows.of(())
