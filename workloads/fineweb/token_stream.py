"""One long stream of tokens, out of pieces of memory-mapped arrays."""

from collections.abc import Sequence

import numpy as np

from algoperf.facts import UserError


class TokenStream:
    """Documents, or larger pieces, end to end; nothing is read before it is asked for.

    Piece i is `arrays[which[i]]` from `starts[i]` on, and `ends[i]` is where it ends in
    the stream. `starts`, `ends` and `which` may be memory-mapped themselves.
    """

    def __init__(
        self,
        name: str,
        arrays: Sequence[np.ndarray],
        which: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
    ):
        self.name = name  # for errors
        self._arrays = arrays
        self._which = which
        self._starts = starts
        self._ends = ends

    @classmethod
    def of_arrays(cls, name: str, arrays: Sequence[np.ndarray]) -> "TokenStream":
        """The arrays end to end."""
        ends = np.cumsum([len(array) for array in arrays], dtype=np.int64)
        starts = np.zeros(len(arrays), np.int64)
        return cls(name, arrays, np.arange(len(arrays)), starts, ends)

    def __len__(self) -> int:
        """How many tokens there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, position: int, out: np.ndarray) -> None:
        """Fills `out` with the tokens from `position` on.

        Raises:
          UserError: an array is shorter than the index says.
        """
        piece = int(np.searchsorted(self._ends, position, side="right"))
        done = 0
        while done < len(out):
            left = int(self._ends[piece]) - position - done
            wanted = min(left, len(out) - done)
            before = self._ends[piece - 1] if piece else 0
            start = int(self._starts[piece]) + position + done - int(before)
            part = self._arrays[self._which[piece]][start : start + wanted]
            if len(part) != wanted:
                raise UserError(
                    f"{self.name} is shorter than its index says: token "
                    f"{position + done + len(part):,} is missing. Prepare it again."
                )
            out[done : done + wanted] = part
            done += wanted
            piece += 1
