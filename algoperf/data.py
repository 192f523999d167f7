"""Batches: a pure function of (seed, index), placed on the devices ahead of use."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from algoperf.facts import Split
from algoperf.jax_sharding_utils import get_batch_dim_sharding, shard_over_hosts
from algoperf.spec import Batch

# The subset of the training set that is evaluated is the same in every run.
EVAL_TRAIN_SEED = 0


class Batches(Protocol):
    """Batches of one split. `position` is all the state there is."""

    position: int  # batches delivered so far

    def __iter__(self) -> Iterator[Batch]: ...

    def __next__(self) -> Batch: ...


class DataSource(Protocol):
    """Where a workload's examples come from."""

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """`train` is shuffled and endless; other splits are one padded pass.

        Batches of the other splits carry `weights`: 1 for real, 0 for padding.
        """
        ...


class IndexedBatches:
    """Batches given by their index; ends after `length` of them, if given."""

    def __init__(
        self,
        batch: Callable[[int], Batch],
        position: int = 0,
        length: int | None = None,
    ):
        self._batch = batch
        self._length = length
        self.position = position

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._length is not None and self.position >= self._length:
            raise StopIteration
        batch = self._batch(self.position)
        self.position += 1
        return batch


class PlacedBatches:
    """Batches split over the devices, the next one on its way before it is asked for.

    Placing is asynchronous, so while a step computes the next batch travels. A single
    CPU device has nothing to travel to: there batches stay NumPy arrays, which `jit`
    takes in less time than `device_put` needs. `finish` is what is left to do there,
    such as to normalise pixels; it is dispatched, not waited for.
    """

    def __init__(
        self, batches: Batches, finish: Callable[[Batch], Batch] | None = None
    ):
        self._batches = batches
        self._finish = finish
        self._sharding = get_batch_dim_sharding()
        self._on_host = jax.device_count() == 1 and jax.default_backend() == "cpu"
        self._ahead: Batch | None = None
        self.position = batches.position

    def __iter__(self) -> Iterator[Batch]:
        return self

    def fetch_ahead(self) -> None:
        """Gets the next batch now, so that reading a data set is not on the clock."""
        if self._ahead is None:
            self._ahead = self._place()

    def __next__(self) -> Batch:
        self.fetch_ahead()
        current, self._ahead = self._ahead, self._place()
        if current is None:
            raise StopIteration
        self.position += 1
        return current

    def _place(self) -> Batch | None:
        batch = next(self._batches, None)
        if batch is not None and jax.process_count() > 1:
            batch = shard_over_hosts(batch)
        elif batch is not None and not self._on_host:
            batch = jax.device_put(batch, self._sharding)
        if batch is not None and self._finish is not None:
            batch = self._finish(batch)
        return batch


def permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the examples in one epoch, int [size].

    Sorts raw Philox draws keyed by (seed, epoch): NumPy promises the raw stream to
    stay the same between versions, which it does not for its own `permutation`.
    """
    # As an array of its own type: a list would go through floats and be rounded.
    key = np.array([seed, epoch], np.uint64)
    draws = np.random.Philox(key=key).random_raw(size)
    return np.argsort(draws, kind="stable")


def pad(batch: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """Fills a batch up with zeros to `batch_size` rows, and its `weights` with 0.

    `weights` are 1 for the rows there are, unless the batch has its own. Arrays may
    be in tuples and dicts of any depth.
    """
    rows = len(jax.tree.leaves(dict(batch))[0])
    weighted = {**batch}
    weighted.setdefault("weights", np.ones(rows, np.float32))

    def padded(array: np.ndarray) -> np.ndarray:
        if rows == batch_size:
            return array
        return np.pad(array, [(0, batch_size - rows)] + [(0, 0)] * (array.ndim - 1))

    return jax.tree.map(padded, weighted)


class Origin(NamedTuple):
    """Where a training batch comes from: what its augmentation is a function of.

    `epochs` and `rows` [batch] name its examples, `index` counts batches.
    """

    seed: int
    index: int
    epochs: np.ndarray
    rows: np.ndarray


class ArraySource:
    """Examples that fit in memory: whole batches by fancy indexing.

    `load` returns arrays per split (`train`, `validation`, `test`) and is called
    when the first batch is asked for; `preprocess` turns raw rows into a batch;
    `augment` changes raw rows of training batches before.
    """

    def __init__(
        self,
        load: Callable[[], Mapping[str, Mapping[str, np.ndarray]]],
        num_eval_train: int,
        preprocess: Callable[[dict[str, np.ndarray]], Batch],
        augment: Callable[[dict[str, np.ndarray], Origin], dict[str, np.ndarray]]
        | None = None,
    ):
        self._load = functools.cache(load)
        self._num_eval_train = num_eval_train
        self._preprocess = preprocess
        self._augment = augment

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        arrays = self._load()["train" if split == "eval_train" else split]
        size = len(next(iter(arrays.values())))
        if split == "train":
            rows_of = endless_rows(size, batch_size, seed)
            return IndexedBatches(
                lambda i: self._train_batch(arrays, Origin(seed, i, *rows_of(i))),
                position,
            )
        rows = np.arange(size)
        if split == "eval_train":
            rows = permutation(size, EVAL_TRAIN_SEED, 0)[: self._num_eval_train]
        return IndexedBatches(
            lambda i: pad(
                self._rows(arrays, rows[i * batch_size : (i + 1) * batch_size]),
                batch_size,
            ),
            position,
            length=-(-len(rows) // batch_size),
        )

    def _train_batch(self, arrays: Mapping[str, np.ndarray], origin: Origin) -> Batch:
        if self._augment is None:
            return self._rows(arrays, origin.rows)
        raw = {name: array[origin.rows] for name, array in arrays.items()}
        return self._preprocess(self._augment(raw, origin))

    def _rows(self, arrays: Mapping[str, np.ndarray], rows: np.ndarray) -> Batch:
        return self._preprocess({name: array[rows] for name, array in arrays.items()})


def endless_rows(
    size: int, batch_size: int, seed: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Batch index -> (epoch [batch], row [batch]) of its examples.

    Every epoch is a permutation of all rows. Epochs are joined end to end, so that no
    example is left out and batches at their seams have examples of two.
    """
    order = functools.lru_cache(maxsize=2)(lambda epoch: permutation(size, seed, epoch))

    def rows_of(index: int) -> tuple[np.ndarray, np.ndarray]:
        epochs, rows = [], []
        start, stop = index * batch_size, (index + 1) * batch_size
        while start < stop:
            epoch, offset = divmod(start, size)
            part = order(epoch)[offset : offset + stop - start]
            epochs.append(np.full(len(part), epoch))
            rows.append(part)
            start += len(part)
        if len(rows) == 1:
            return epochs[0], rows[0]
        return np.concatenate(epochs), np.concatenate(rows)

    return rows_of
