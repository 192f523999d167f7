"""Random batches of a workload's shapes: for dry runs and throughput, without data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from algoperf.data import Batches, DataSource, IndexedBatches, pad
from algoperf.facts import Split
from algoperf.spec import Batch

# Different batches of a split. A step cannot tell them from new ones, and drawing
# costs the host nothing once they are there.
DISTINCT = 2


class Drawn(NamedTuple):
    """An array of a batch: shape of one example, type, and the bounds of integers.

    Floats are normal with mean 0 and deviation 1, and so are both parts of complex
    numbers; integers uniform from `at_least` to `below`, exclusive, which may have a
    bound for each place of the last dimension; booleans are either.
    """

    shape: tuple[int, ...]
    dtype: Any
    below: int | tuple[int, ...] = 2
    at_least: int = 0


class RandomSource:
    """Batches drawn at random; an evaluation split is a single one.

    Args:
      example: a batch as the data source of the workload would deliver it (before
        `finish`, without `weights`), with a `Drawn` for every array.
      train: the same of training batches, where they are different.
    """

    def __init__(
        self, example: Mapping[str, Any], train: Mapping[str, Any] | None = None
    ):
        self._example = example
        self._train = train or example
        self._drawn: dict[tuple[Split, int, int], Batch] = {}

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        del seed
        length = None if split == "train" else 1
        return IndexedBatches(
            lambda i: self._batch(split, batch_size, i % DISTINCT), position, length
        )

    def _batch(self, split: Split, batch_size: int, number: int) -> Batch:
        key = split, batch_size, number
        if key not in self._drawn:
            random = np.random.default_rng(number)
            batch = jax.tree.map(
                lambda leaf: _draw(random, leaf, batch_size),
                dict(self._train if split == "train" else self._example),
                is_leaf=lambda node: isinstance(node, Drawn),
            )
            self._drawn[key] = batch if split == "train" else pad(batch, batch_size)
        return self._drawn[key]


class FirstBatch:
    """Another source, of whose evaluation splits only the first batch is taken."""

    def __init__(self, source: DataSource):
        self._source = source

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        if split == "train":
            return self._source.batches(split, batch_size, seed, position)
        return IndexedBatches(
            lambda _: next(self._source.batches(split, batch_size, seed)), position, 1
        )


def _draw(random: np.random.Generator, leaf: Drawn, batch_size: int) -> np.ndarray:
    shape = (batch_size, *leaf.shape)
    if np.issubdtype(leaf.dtype, np.integer):
        return random.integers(leaf.at_least, leaf.below, shape, leaf.dtype)
    if leaf.dtype == np.bool_:
        return random.integers(0, 2, shape, np.uint8).astype(np.bool_)
    if np.issubdtype(leaf.dtype, np.complexfloating):
        parts = random.standard_normal((*shape, 2), np.float32)
        return parts.view(np.complex64)[..., 0].astype(leaf.dtype)
    return random.standard_normal(shape, np.float32).astype(leaf.dtype)
