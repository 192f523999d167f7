"""Batches of prepared click logs, read in blocks by threads.

The rows of a split are cut into blocks of neighbours. A training epoch takes the
blocks in a random order, and shuffles the rows of so many blocks together as fit a
window: files are read in long pieces, and a batch has rows of many days.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from algoperf.data import EVAL_TRAIN_SEED, Batches, IndexedBatches, pad, permutation
from algoperf.data_options import DataOptions
from algoperf.facts import Split
from algoperf.read_ahead import Plan, ReadAhead
from algoperf.spec import Batch
from workloads.criteo.files import RowFiles
from workloads.criteo.rows import DTYPE, NUM_COLUMNS, ROW_BYTES


class Blocks(NamedTuple):
    """How rows are cut: of a block, and blocks of a window.

    These are 2.6 MB and 168 MB. Up to four windows are in memory.
    """

    rows: int = 16_384
    per_window: int = 64


class Window(NamedTuple):
    """Blocks whose rows are delivered together: ranges of rows of a split.

    `first` is the first one's place among the rows delivered since the beginning.
    """

    number: int
    first: int
    starts: np.ndarray
    stops: np.ndarray

    @property
    def size(self) -> int:
        return int((self.stops - self.starts).sum())


class ClickLogs:
    """Batches of `rows` uint32 [batch, 40]; `rows.features` makes features of them."""

    def __init__(
        self,
        folder: Path,
        examples: Mapping[Split, int],
        options: DataOptions,
        blocks: Blocks | None = None,
    ):
        self._folder = folder
        self._examples = examples
        self._threads = options.threads
        self._blocks = blocks or Blocks()
        self._files: dict[str, RowFiles] = {}

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`.

        `eval_train` are blocks from all over the training set, the same in every run.
        """
        files = self._open("train" if split == "eval_train" else split)
        if split == "train":
            return self._train(files, batch_size, seed, position)
        num_rows = self._examples[split]
        chosen = np.arange(-(-len(files) // self._blocks.rows))
        if split == "eval_train":
            chosen = _some_blocks(len(files), self._blocks.rows, num_rows)
        starts, stops = _ranges(len(files), self._blocks.rows, chosen)
        length = -(-num_rows // batch_size)

        def plan(index: int) -> Plan:
            start = index * batch_size
            stop = min(start + batch_size, num_rows)
            return _plan(files, *_within(starts, stops, start, stop))

        ahead = ReadAhead(plan, self._threads, position, length)
        return IndexedBatches(lambda _: pad(next(ahead), batch_size), position, length)

    def _train(
        self, files: RowFiles, batch_size: int, seed: int, position: int
    ) -> Batches:
        window_of = TrainWindows(len(files), self._blocks, seed)
        first = window_of.containing(position * batch_size)

        def plan(index: int) -> Plan:
            window = window_of(index)
            places = shuffled(window.size, seed, window.number)
            return _plan(files, window.starts, window.stops, places)

        ahead = ReadAhead(plan, self._threads, first.number)
        skip = position * batch_size - first.first
        cut = _cut(ahead, batch_size, skip)
        return IndexedBatches(lambda _: next(cut), position)

    def _open(self, split: str) -> RowFiles:
        if split not in self._files:
            wanted = self._examples[split]  # type: ignore[index]
            self._files[split] = RowFiles(self._folder, split, wanted)
        return self._files[split]


class TrainWindows:
    """The windows of endless epochs, by their number.

    Every epoch is all blocks in an order of its own, so each row comes once in it.
    """

    def __init__(self, num_rows: int, blocks: Blocks, seed: int):
        self._num_rows = num_rows
        self._blocks = blocks
        self._seed = seed
        self._num_blocks = -(-num_rows // blocks.rows)
        self._per_epoch = -(-self._num_blocks // blocks.per_window)
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def __call__(self, number: int) -> Window:
        """Window `number`, counted over all epochs."""
        epoch, place = divmod(number, self._per_epoch)
        start = place * self._blocks.per_window
        order = self._order_of(epoch)
        before, own = order[:start], order[start : start + self._blocks.per_window]
        first = epoch * self._num_rows + self._size(before)
        return Window(number, first, *_ranges(self._num_rows, self._blocks.rows, own))

    def containing(self, row: int) -> Window:
        """The window with the row delivered after so many others."""
        epoch, offset = divmod(row, self._num_rows)
        # The short last block of the files may come before, so this may be one early.
        size = self._blocks.rows * self._blocks.per_window
        window = self(epoch * self._per_epoch + offset // size)
        if row < window.first + window.size:
            return window
        return self(window.number + 1)

    def _size(self, order: np.ndarray) -> int:
        starts, stops = _ranges(self._num_rows, self._blocks.rows, order)
        return int((stops - starts).sum())

    def _order_of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._order = permutation(self._num_blocks, self._seed, epoch)
            self._epoch = epoch
        return self._order


def shuffled(size: int, seed: int, number: int) -> np.ndarray:
    """The numbers below `size` in random order, for window `number`: int64 [size].

    Sorts raw Philox draws (see `algoperf.data.permutation`) whose low bits are
    replaced by the numbers: sorting values is several times faster than finding their
    order. The counter keeps the draws apart from those of epochs.
    """
    bits = np.uint64(max(size - 1, 1).bit_length())
    philox = np.random.Philox(
        key=np.array([seed, number], np.uint64), counter=np.array([0, 0, 1, 0], "u8")
    )
    draws = philox.random_raw(size) >> bits << bits
    draws |= np.arange(size, dtype=np.uint64)
    draws.sort()
    return (draws & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)


def _ranges(
    num_rows: int, block_rows: int, blocks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last row of blocks, of which the last may be short."""
    starts = blocks * block_rows
    return starts, np.minimum(starts + block_rows, num_rows)


def _some_blocks(num_rows: int, block_rows: int, wanted_rows: int) -> np.ndarray:
    """Random blocks with at least so many rows together, in the order of the files."""
    order = permutation(-(-num_rows // block_rows), EVAL_TRAIN_SEED, 0)
    starts, stops = _ranges(num_rows, block_rows, order)
    enough = int(np.searchsorted(np.cumsum(stops - starts), wanted_rows)) + 1
    return np.sort(order[:enough])


def _within(
    starts: np.ndarray, stops: np.ndarray, first: int, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part `first` to `last` of the rows of all ranges together, as ranges."""
    ends = np.cumsum(stops - starts)
    low = int(np.searchsorted(ends, first, side="right"))
    high = int(np.searchsorted(ends, last)) + 1
    starts, stops, ends = (each[low:high].copy() for each in (starts, stops, ends))
    starts[0] = stops[0] - (ends[0] - first)
    stops[-1] -= ends[-1] - last
    return starts, stops


def _plan(
    files: RowFiles,
    starts: np.ndarray,
    stops: np.ndarray,
    places: np.ndarray | None = None,
) -> Plan:
    """The rows of some ranges, one after the other, or each at its own place."""
    ends = np.cumsum(stops - starts)
    rows = np.empty((int(ends[-1]), NUM_COLUMNS), DTYPE)
    items = _as_items(rows)

    def fill(number: int) -> None:
        at = int(ends[number] - (stops[number] - starts[number]))
        for part in files.parts(int(starts[number]), int(stops[number])):
            into = slice(at, at + len(part))
            # Scattering the rows reads the file in its order, and needs no copy.
            items[into if places is None else places[into]] = _as_items(part)
            at += len(part)

    return Plan({"rows": rows}, len(starts), fill)


def _as_items(rows: np.ndarray) -> np.ndarray:
    """Each row as one item [row]: NumPy then copies it as a whole, twice as fast."""
    return rows.view(f"V{ROW_BYTES}")[:, 0]


def _cut(windows: Iterator[Batch], batch_size: int, skip: int) -> Iterator[Batch]:
    """Batches of the rows of all windows together, but for the first `skip`."""
    parts: list[np.ndarray] = []
    missing = batch_size
    for window in windows:
        rows = window["rows"][skip:]
        skip = 0
        while len(rows) >= missing:
            parts.append(rows[:missing])
            rows = rows[missing:]
            yield {"rows": np.concatenate(parts) if len(parts) > 1 else parts[0]}
            parts, missing = [], batch_size
        if len(rows):
            parts.append(rows)
            missing -= len(rows)
