"""Several short pairs of sentences in one row, as AlgoPerf packs them.

Pairs are put into a row one after the other; one whose source or target no longer fits
begins the next row. After 256 pairs a new row begins in any case.

The token 0 is the unknown one and padding. AlgoPerf counts what is not 0, so that a
sentence with k unknown tokens loses its last k before it is packed, its end first. That
is kept here (rows are those that the targets were set with); with a tokenizer that
covers all characters hardly any sentence has one.
"""

from collections.abc import Sequence

import numpy as np

BLOCK = 256  # pairs packed together
Sentences = Sequence[tuple[np.ndarray, np.ndarray]]


def row_starts(lengths: np.ndarray, row_length: int) -> np.ndarray:
    """Where rows begin in a sequence of pairs: int64 [rows + 1], ends included.

    `lengths` [pairs, 2] are of sources and targets as they are packed, so without a
    token for every 0 in them; none is above `row_length`. All blocks are packed at the
    same time, a pair of each at a step.
    """
    count = len(lengths)
    blocks = -(-count // BLOCK)
    padded = np.zeros((blocks * BLOCK, 2), np.int32)
    padded[:count] = lengths
    padded = padded.reshape(blocks, BLOCK, 2)
    begins = np.zeros((blocks, BLOCK), bool)
    used = np.full((blocks, 2), row_length + 1, np.int32)  # the first begins a row
    for place in range(BLOCK):
        new = padded[:, place]
        total = used + new
        is_full = np.any(total > row_length, axis=1)
        begins[:, place] = is_full
        used = np.where(is_full[:, None], new, total)
    return np.append(np.flatnonzero(begins.reshape(-1)[:count]), count)


def packed(rows: Sequence[Sentences], row_length: int) -> dict[str, np.ndarray]:
    """A batch of rows that the pairs fit in, int32 [rows, row_length] each.

    `inputs` and `targets`, and of both `*_position` (from 0 in each sentence) and
    `*_segmentation` (the sentence's number in its row, from 1; 0 is padding).
    """
    names = ("inputs", "targets")
    shape = (len(rows), row_length)
    batch = {
        f"{name}{kind}": np.zeros(shape, np.int32)
        for kind in ("", "_position", "_segmentation")
        for name in names
    }
    positions = np.arange(row_length, dtype=np.int32)
    for row, pairs in enumerate(rows):
        ends = [0, 0]
        for number, pair in enumerate(pairs, start=1):
            for side, name in enumerate(names):
                # As many as are not 0: see the module's description.
                tokens = pair[side][: np.count_nonzero(pair[side])]
                part = slice(ends[side], ends[side] + len(tokens))
                batch[name][row, part] = tokens
                batch[f"{name}_position"][row, part] = positions[: len(tokens)]
                batch[f"{name}_segmentation"][row, part] = number
                ends[side] = part.stop
    for name in names:
        batch[f"{name}_segmentation"] *= batch[name] != 0
    return batch
