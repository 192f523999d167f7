"""Batches whose examples are decoded by threads, ahead of use."""

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

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
    ):
        self._plan = plan
        self._length = length
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
            chunks = range(0, plan.rows, CHUNK)
            tasks = [
                self._pool.submit(_fill, plan.fill, range(i, min(i + CHUNK, plan.rows)))
                for i in chunks
            ]
            self._under_way.append((plan.batch, tasks))


def _fill(fill: Callable[[int], None], rows: Sequence[int]) -> None:
    for row in rows:
        fill(row)
