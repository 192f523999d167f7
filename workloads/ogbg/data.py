"""ogbg's batches: graphs in memory, packed into shards of fixed capacity."""

import functools
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

from algoperf.data import (
    EVAL_TRAIN_SEED,
    Batches,
    IndexedBatches,
    endless_rows,
    permutation,
)
from algoperf.facts import Split, UserError
from workloads.ogbg import graph_set
from workloads.ogbg.graph_set import MISSING, GraphSet
from workloads.ogbg.packing import Room, Stream, capacity, packed_batch, packed_rows

FILE = "molpcba-{split}.npz"


class PackedGraphs:
    """Batches of graphs; see `packing.packed_batch` for what is in one.

    How many graphs there are in a training batch varies, `batch_size` being the most:
    capacity counts nodes and edges too. Evaluation batches have at least the room of
    the largest graph, so that they may have any size and every graph is in one of them.
    `load(split)` returns the graphs of `train`, `validation` or `test` and is called
    once.
    """

    def __init__(
        self, load: Callable[[str], GraphSet], num_eval_train: int, room: Room
    ):
        self._load = functools.cache(load)
        self._num_eval_train = num_eval_train
        self._room = room

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`.

        To begin at `position` the batches before it are counted out, as what fits in
        one decides where the next begins: 0.15 s an epoch of ogbg.
        """
        graphs = self._load("train" if split == "eval_train" else split)
        limits = capacity(batch_size, self._room, jax.device_count())
        if split == "train":
            stream = _endless(len(graphs), batch_size, seed)
            packed = packed_rows(stream, graphs.sizes, limits)
            rest = itertools.islice(packed, position, None)
            return IndexedBatches(
                lambda _: packed_batch(graphs, next(rest), limits), position
            )
        rows = np.arange(len(graphs))
        if split == "eval_train":
            rows = permutation(len(graphs), EVAL_TRAIN_SEED, 0)[: self._num_eval_train]
        limits = limits.with_room_for(graphs)
        whole = list(packed_rows(lambda i, j: rows[i:j], graphs.sizes, limits))
        return IndexedBatches(
            lambda i: packed_batch(graphs, whole[i], limits), position, len(whole)
        )


def _endless(count: int, block: int, seed: int) -> Stream:
    """A new order of all graphs every epoch, epochs joined end to end."""
    rows_of = endless_rows(count, block, seed)
    block_of = functools.lru_cache(maxsize=2)(lambda index: rows_of(index)[1])

    def rows(start: int, stop: int) -> np.ndarray:
        first = start // block
        blocks = [block_of(i) for i in range(first, -(-stop // block))]
        return np.concatenate(blocks)[start - first * block : stop - first * block]

    return rows


def read_split(folder: Path, examples: Mapping[Split, int], split: str) -> GraphSet:
    """The graphs of a split as `algoperf prepare` writes them.

    Raises:
      UserError: the file is damaged, or has another number of graphs, or no labels.
    """
    path = folder / FILE.format(split=split)
    graphs = graph_set.read(path)
    wanted = examples[split]  # type: ignore[index]
    if len(graphs) != wanted:
        raise UserError(
            f"{path} has {len(graphs):,} graphs, and should have {wanted:,}; prepare "
            "it again."
        )
    if np.all(graphs.labels == MISSING):
        raise UserError(
            f"{path}: all labels of all {len(graphs):,} graphs are missing, so that "
            "there is nothing to learn or to measure; prepare it again."
        )
    return graphs
