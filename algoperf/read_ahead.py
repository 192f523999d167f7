"""Batches whose examples are decoded by threads, ahead of use."""

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from algoperf.data import (
    EVAL_TRAIN_SEED,
    Batches,
    IndexedBatches,
    Origin,
    endless_rows,
    pad,
    permutation,
)
from algoperf.facts import Split, UserError
from algoperf.jax_sharding_utils import own_rows
from algoperf.spec import Batch

# Batches in the making besides the one that is asked for: while one is waited for the
# threads have others to go on with. More would only take memory.
AHEAD = 2
# Examples a task: handing them to a thread then costs nothing beside the work.
CHUNK = 8


class Plan(NamedTuple):
    """How a batch is made: its arrays, empty, and the work of filling them.

    `fill(row)` decodes the example of a row into the arrays, for each of `rows` rows,
    in any order and thread.
    """

    batch: Batch
    rows: int
    fill: Callable[[int], None]


class ReadAhead:
    """Batches of plans, in the making before they are asked for.

    Plan i is a function of i alone, so threads change nothing. Memory is bounded by
    `AHEAD` + 1 batches. An error of a thread is raised where its batch is asked for.
    """

    def __init__(
        self,
        plan: Callable[[int], Plan],
        threads: int,
        position: int = 0,
        length: int | None = None,
        rows: range | None = None,
    ):
        """With `rows` only these of each batch are filled: other processes, which
        train together with this one, have the rest."""
        self._plan = plan
        self._length = length
        self._rows = rows
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._under_way: deque[tuple[Batch, list[Future[None]]]] = deque()
        self.position = position
        # Threads end with this object; what they have not begun is dropped.
        weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self._begin()
        if not self._under_way:
            raise StopIteration
        batch, tasks = self._under_way.popleft()
        self.position += 1
        for task in tasks:
            task.result()
        return batch

    def _begin(self) -> None:
        while len(self._under_way) <= AHEAD:
            index = self.position + len(self._under_way)
            if self._length is not None and index >= self._length:
                return
            plan = self._plan(index)
            rows = range(plan.rows)
            if self._rows is not None:
                rows = rows[self._rows.start : self._rows.stop]
            tasks = [
                self._pool.submit(_fill, plan.fill, rows[i : i + CHUNK])
                for i in range(0, len(rows), CHUNK)
            ]
            self._under_way.append((plan.batch, tasks))


def _fill(fill: Callable[[int], None], rows: Sequence[int]) -> None:
    for row in rows:
        fill(row)


def decoded_batches(
    split: Split,
    batch_size: int,
    seed: int,
    position: int,
    *,
    size: int,
    num_examples: int,
    plan: Callable[[np.ndarray, Origin | None], Plan],
    threads: int,
) -> Batches:
    """Batches of a split as `DataSource.batches` promises them.

    `plan(rows, origin)` says how the batch of some rows of the data set is made; in
    training `origin` is where it comes from, in an evaluation None.

    Args:
      size: examples that the data set has for the split (`eval_train`: for `train`).
      num_examples: those of them that an evaluation takes.
    """
    own = own_rows(batch_size)
    if split == "train":
        rows_of = endless_rows(size, batch_size, seed)

        def train_plan(index: int) -> Plan:
            origin = Origin(seed, index, *rows_of(index))
            return plan(origin.rows, origin)

        return ReadAhead(train_plan, threads, position, rows=own)
    rows = np.arange(size)
    if split == "eval_train":
        rows = permutation(size, EVAL_TRAIN_SEED, 0)
    rows = rows[:num_examples]
    length = -(-len(rows) // batch_size)

    def eval_plan(index: int) -> Plan:
        return plan(rows[index * batch_size : (index + 1) * batch_size], None)

    ahead = ReadAhead(eval_plan, threads, position, length, own)
    return IndexedBatches(lambda _: pad(next(ahead), batch_size), position, length)


class Damaged:
    """The examples that could not be decoded: each is named on the screen, once."""

    def __init__(self, kind: str, consequence: str, strict: bool):
        """Such as `Damaged("image", "replaced by a black one", options.strict)`."""
        self._kind, self._consequence, self._strict = kind, consequence, strict
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def note(self, name: str, error: UserError) -> None:
        """Counts an example; with `strict` the run ends with its error.

        Any number of threads may call this at once.
        """
        if self._strict:
            raise error
        with self._lock:
            if name in self._names:
                return
            self._names.add(name)
            logging.getLogger("algoperf").warning(
                "%s (damaged %s %d, %s)",
                error,
                self._kind,
                len(self._names),
                self._consequence,
            )
