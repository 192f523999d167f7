"""Batches of token sequences, cut from one long stream."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from algoperf.data import Batches, IndexedBatches, endless_rows, pad
from algoperf.facts import Split, UserError
from workloads.fineweb.facts import LEAST_SHARE_OF_TRAIN
from workloads.fineweb.token_stream import TokenStream


class TokenSequences:
    """Inputs and targets int32 [batch, length]: sequence s of a split's stream.

    The stream is cut into pieces of `length` + 1 tokens (what is left at the end is
    dropped): inputs are all but the last of a piece, targets all but the first.
    Pieces cross the borders of documents. `eval_train` are the first training
    sequences, `validation` the first of its stream, in order, with `weights`
    float32 [batch, length].
    """

    def __init__(
        self,
        open_stream: Callable[[str], TokenStream],
        examples: Mapping[Split, int],
        length: int,
        vocab_size: int,
    ):
        """`open_stream("train" or "validation")` is called when it is first needed."""
        self._stream = functools.cache(open_stream)
        self._examples = examples
        self._length = length
        self._vocab_size = vocab_size

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        if split == "train":
            stream = self._stream("train")
            rows_of = endless_rows(self._num_train(stream), batch_size, seed)
            return IndexedBatches(lambda i: self._read(stream, rows_of(i)[1]), position)
        count = self._examples.get(split, 0)
        length = -(-count // batch_size)
        if not length:
            return IndexedBatches(lambda _: {}, position, length)
        stream = self._stream("train" if split == "eval_train" else split)
        self._check(stream, split, count)

        def batch(index: int) -> dict[str, Any]:
            start = index * batch_size
            rows = np.arange(start, min(start + batch_size, count))
            found = self._read(stream, rows)
            found["weights"] = np.ones(found["targets"].shape, np.float32)
            return pad(found, batch_size)

        return IndexedBatches(batch, position, length)

    def _num_train(self, stream: TokenStream) -> int:
        wanted = self._examples["train"]
        self._check(stream, "train", int(np.ceil(LEAST_SHARE_OF_TRAIN * wanted)))
        return min(wanted, len(stream) // (self._length + 1))

    def _check(self, stream: TokenStream, split: Split, wanted: int) -> None:
        found = len(stream) // (self._length + 1)
        if found < wanted:
            raise UserError(
                f"{stream.name} has {len(stream):,} tokens, {found:,} sequences of "
                f"{self._length + 1:,}; {split} needs {wanted:,}. Prepare it again "
                "from the whole data set."
            )

    def _read(self, stream: TokenStream, rows: np.ndarray) -> dict[str, np.ndarray]:
        size = self._length + 1
        tokens = np.empty((len(rows), size), np.int32)
        for place, row in enumerate(rows):
            stream.read(int(row) * size, tokens[place])
        self._check_ids(stream, rows, tokens)
        return {"inputs": tokens[:, :-1], "targets": tokens[:, 1:]}

    def _check_ids(
        self, stream: TokenStream, rows: np.ndarray, tokens: np.ndarray
    ) -> None:
        if tokens.min() >= 0 and tokens.max() < self._vocab_size:
            return
        wrong = (tokens < 0) | (tokens >= self._vocab_size)
        place, offset = np.argwhere(wrong)[0]
        where = int(rows[place]) * (self._length + 1) + int(offset)
        raise UserError(
            f"{stream.name} has token {tokens[place, offset]} at place {where:,}; ids "
            f"must be 0 to {self._vocab_size - 1:,}. It was made with another "
            "vocabulary, or is damaged: prepare it again."
        )
