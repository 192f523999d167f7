"""Evaluation splits are decoded once and kept, as far as memory is given for them."""

from collections.abc import Callable, Iterator

import jax

from algoperf.data import Batches, DataSource, IndexedBatches
from algoperf.facts import Split
from algoperf.spec import Batch


class EvalCache:
    """A data source that keeps the batches of evaluation splits, up to a bound.

    The first whole pass over a split is kept, if it fits beside those that are; any
    other is read again every time. `train` is never kept.
    """

    def __init__(self, source: DataSource, limit_bytes: int):
        self._source = source
        self._left_bytes = limit_bytes
        self._kept: dict[tuple[Split, int], list[Batch]] = {}

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        kept = self._kept.get((split, batch_size))
        if kept is not None:
            return IndexedBatches(kept.__getitem__, position, len(kept))
        batches = self._source.batches(split, batch_size, seed, position)
        if split == "train" or position:
            return batches

        def keep(whole: list[Batch], size_bytes: int) -> None:
            self._kept[split, batch_size] = whole
            self._left_bytes -= size_bytes

        return _Recording(batches, self._left_bytes, keep)


class _Recording:
    """Batches handed to `keep` after a whole pass, unless they are too many."""

    def __init__(
        self,
        batches: Batches,
        limit_bytes: int,
        keep: Callable[[list[Batch], int], None],
    ):
        self._batches = batches
        self._limit_bytes = limit_bytes
        self._keep = keep
        self._seen: list[Batch] | None = []
        self._seen_bytes = 0
        self.position = 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch = next(self._batches, None)
        if batch is None:
            if self._seen is not None:
                self._keep(self._seen, self._seen_bytes)
                self._seen = None
            raise StopIteration
        self.position += 1
        if self._seen is not None:
            self._seen.append(batch)
            self._seen_bytes += sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
            if self._seen_bytes > self._limit_bytes:
                self._seen = None
        return batch
