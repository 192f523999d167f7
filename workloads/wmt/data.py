"""wmt's batches: packed rows to train on, a sentence a row to evaluate."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from algoperf.data import (
    EVAL_TRAIN_SEED,
    Batches,
    IndexedBatches,
    pad,
    permutation,
)
from algoperf.facts import Split, UserError
from algoperf.spec import Batch
from workloads.wmt.packing import packed, row_starts
from workloads.wmt.tokens import Pairs

Load = Callable[[Split], Sequence[Pairs]]  # split -> its parts


class Sentences:
    """All pairs of a split that fit in a row, from one or more files.

    Longer ones are left out, as AlgoPerf does.
    """

    def __init__(self, parts: Sequence[Pairs], row_length: int):
        self._parts = parts
        lengths = np.concatenate([part.lengths() for part in parts])
        fits = np.all(lengths <= row_length, axis=1)
        self._places = np.flatnonzero(fits)
        self._ends = np.cumsum([len(part) for part in parts])
        packed_lengths = [part.packed_lengths() for part in parts]
        self.packed_lengths = np.concatenate(packed_lengths)[fits]  # int32 [pairs, 2]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        place = int(self._places[index])
        number = int(np.searchsorted(self._ends, place, side="right"))
        part = self._parts[number]
        place -= int(self._ends[number]) - len(part)
        return part.sentence(place, 0), part.sentence(place, 1)


class Translations:
    """Batches of pairs; `load` is called when the first batch of a split is asked for.

    Training rows of `row_length` tokens have several pairs (see `packing`), in an
    order that is another in every epoch; batches at the seam of epochs have rows of
    both. Other splits have a pair a row. `weights` [batch, row_length] are 1 for the
    tokens of targets.
    """

    def __init__(self, load: Load, examples: Mapping[Split, int], row_length: int):
        self._examples = examples
        self._row_length = row_length

        @functools.cache
        def sentences(split: Split) -> Sentences:
            found = Sentences(load(split), row_length)
            if not len(found):
                raise UserError(
                    f"wmt's {split} split has no pair of sentences of {row_length} "
                    "tokens or less; prepare it again."
                )
            return found

        self._sentences = sentences

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        sentences = self._sentences("train" if split == "eval_train" else split)
        if split == "train":
            epochs = PackedEpochs(sentences, self._row_length, seed)

            def train_batch(index: int) -> Batch:
                rows = epochs.rows(index * batch_size, (index + 1) * batch_size)
                return weighted(packed(list(rows), self._row_length))

            return IndexedBatches(train_batch, position)
        rows = np.arange(len(sentences))
        if split == "eval_train":
            rows = permutation(len(sentences), EVAL_TRAIN_SEED, 0)
            rows = rows[: self._examples["eval_train"]]

        def eval_batch(index: int) -> Batch:
            part = rows[index * batch_size : (index + 1) * batch_size]
            return pad(weighted(self._unpacked(sentences, part)), batch_size)

        return IndexedBatches(eval_batch, position, -(-len(rows) // batch_size))

    def _unpacked(self, sentences: Sentences, rows: np.ndarray) -> Batch:
        shape = (len(rows), self._row_length)
        inputs, targets = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for place, row in enumerate(rows):
            source, target = sentences[int(row)]
            inputs[place, : len(source)] = source
            targets[place, : len(target)] = target
        return {"inputs": inputs, "targets": targets}


class PackedEpochs:
    """The endless sequence of packed rows, epoch after epoch, from any place.

    How many rows an epoch has depends on its order, so to get to a later epoch the
    lengths of all before are packed: one or two seconds each for all of WMT17.
    """

    def __init__(self, sentences: Sentences, row_length: int, seed: int):
        self._sentences = sentences
        self._row_length = row_length
        self._seed = seed
        self._first_rows = [0]  # of the epochs that are known
        self._epoch = functools.lru_cache(maxsize=2)(self._pack)

    def rows(
        self, start: int, stop: int
    ) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        """The pairs of the rows `start` to `stop`."""
        epoch = 0
        while start < stop:
            while self._end(epoch) <= start:
                epoch += 1
            order, starts = self._epoch(epoch)
            first = self._first_rows[epoch]
            until = min(stop, self._end(epoch))
            for row in range(start - first, until - first):
                pairs = order[starts[row] : starts[row + 1]]
                yield [self._sentences[int(pair)] for pair in pairs]
            start = until

    def _end(self, epoch: int) -> int:
        """The number of the first row after an epoch."""
        while len(self._first_rows) <= epoch + 1:
            _, starts = self._epoch(len(self._first_rows) - 1)
            self._first_rows.append(self._first_rows[-1] + len(starts) - 1)
        return self._first_rows[epoch + 1]

    def _pack(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        order = permutation(len(self._sentences), self._seed, epoch)
        order = order.astype(np.int32)
        return order, row_starts(
            self._sentences.packed_lengths[order], self._row_length
        )


def weighted(batch: Batch) -> Batch:
    """The batch with `weights`: 1 for tokens of targets, 0 for padding."""
    return {**batch, "weights": (batch["targets"] > 0).astype(np.float32)}
