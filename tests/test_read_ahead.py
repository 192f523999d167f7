"""Threads decode ahead and change nothing: order, values, errors, memory."""

import gc
import threading
import time

import numpy as np
import pytest

from algoperf.data import IndexedBatches, PlacedBatches, pad
from algoperf.eval_cache import EvalCache
from algoperf.random_data import Drawn, RandomSource
from algoperf.read_ahead import AHEAD, Plan, ReadAhead


def squares(index: int, size: int = 19, begun: list[int] | None = None) -> Plan:
    """Row r of batch i holds (19 i + r) squared."""
    values = np.full(size, -1)

    def fill(row: int) -> None:
        time.sleep(0.0001 * ((row * 7) % 5))  # finish out of order
        values[row] = (index * size + row) ** 2

    if begun is not None:
        begun.append(index)
    return Plan({"inputs": values}, size, fill)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_batches_come_in_order_and_whole(threads):
    batches = ReadAhead(squares, threads, length=6)
    found = np.concatenate([batch["inputs"] for batch in batches])
    np.testing.assert_array_equal(found, np.arange(6 * 19) ** 2)
    assert batches.position == 6


@pytest.mark.parametrize("rows", [range(0, 9), range(9, 19), range(12, 24)])
def test_a_process_fills_the_rows_of_its_own_devices(rows):
    batch = next(ReadAhead(squares, 2, rows=rows))
    own = [row for row in range(19) if row in rows]
    np.testing.assert_array_equal(batch["inputs"][own], np.square(own))
    others = np.delete(batch["inputs"], own)
    np.testing.assert_array_equal(others, -1)


def test_it_begins_at_any_position():
    batch = next(ReadAhead(squares, 2, position=4))
    np.testing.assert_array_equal(batch["inputs"], np.arange(76, 95) ** 2)


def test_only_a_bounded_number_is_in_the_making():
    begun: list[int] = []
    batches = ReadAhead(lambda i: squares(i, begun=begun), 2)
    for count in range(1, 10):
        next(batches)
        assert begun == list(range(count + AHEAD))


def test_an_error_is_raised_where_its_batch_is_asked_for():
    def plan(index: int) -> Plan:
        def fill(row: int) -> None:
            if (index, row) == (2, 11):
                raise ValueError("image 49 is corrupt")

        return Plan({}, 19, fill)

    batches = ReadAhead(plan, 2)
    next(batches)
    next(batches)
    with pytest.raises(ValueError, match="image 49 is corrupt"):
        next(batches)


def test_its_threads_end_with_it():
    before = set(threading.enumerate())
    batches = ReadAhead(squares, 3)
    next(batches)
    own = set(threading.enumerate()) - before
    assert own
    del batches
    gc.collect()
    deadline = time.monotonic() + 5
    while any(thread.is_alive() for thread in own) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(thread.is_alive() for thread in own)


class Counted:
    """A source of three batches a split, 800 bytes each; counts the passes begun."""

    def __init__(self):
        self.passes = 0

    def batches(self, split, batch_size, seed, position=0):
        self.passes += 1
        length = None if split == "train" else 3
        return IndexedBatches(
            lambda i: {"inputs": np.full(100, float(i))}, position, length
        )


def values(batches) -> list[float]:
    return [batch["inputs"][0] for batch in batches]


def test_a_split_is_read_once_if_it_fits():
    source = Counted()
    cache = EvalCache(source, limit_bytes=2_400)
    for _ in range(3):
        assert values(cache.batches("validation", 8, 0)) == [0, 1, 2]
    assert source.passes == 1
    # Another batch size is another set of arrays; nothing is left for it.
    for _ in range(2):
        assert values(cache.batches("validation", 4, 0)) == [0, 1, 2]
    assert source.passes == 3


def test_a_split_that_does_not_fit_is_read_again():
    source = Counted()
    cache = EvalCache(source, limit_bytes=2_399)
    for _ in range(2):
        assert values(cache.batches("test", 8, 0)) == [0, 1, 2]
    assert source.passes == 2


def test_half_a_pass_is_not_taken_for_a_whole_one():
    source = Counted()
    cache = EvalCache(source, limit_bytes=10**6)
    next(cache.batches("validation", 8, 0))
    assert values(cache.batches("validation", 8, 0)) == [0, 1, 2]
    assert values(cache.batches("validation", 8, 0)) == [0, 1, 2]
    assert values(cache.batches("validation", 8, 0, position=2)) == [2]
    assert source.passes == 2


def test_training_batches_are_never_kept():
    source = Counted()
    cache = EvalCache(source, limit_bytes=10**6)
    for _ in range(2):
        assert next(cache.batches("train", 8, 0))["inputs"][0] == 0
    assert source.passes == 2


EXAMPLE = {
    "inputs": (Drawn((3, 3), np.uint8, 256), Drawn((2,), np.float32)),
    "targets": Drawn((), np.int32, 10),
}


def test_random_batches_have_the_declared_shapes():
    source = RandomSource(EXAMPLE)
    train = source.batches("train", 64, 0)
    first, second, third = next(train), next(train), next(train)
    images, noise = first["inputs"]
    assert (images.shape, images.dtype) == ((64, 3, 3), np.uint8)
    assert (noise.shape, noise.dtype) == ((64, 2), np.float32)
    assert set(first["targets"]) == set(range(10))
    assert images.max() > 200
    assert not np.array_equal(images, second["inputs"][0])
    assert third is first
    assert "weights" not in first
    (only,) = source.batches("validation", 8, 0)
    np.testing.assert_array_equal(only["weights"], np.ones(8))


def test_padding_goes_into_tuples_and_keeps_weights():
    batch = {"inputs": (np.ones((2, 3)), np.ones(2)), "weights": np.array([1.0, 0.5])}
    padded = pad(batch, 4)
    np.testing.assert_array_equal(padded["inputs"][0].sum(axis=1), [3, 3, 0, 0])
    np.testing.assert_array_equal(padded["inputs"][1], [1, 1, 0, 0])
    np.testing.assert_array_equal(padded["weights"], [1, 0.5, 0, 0])


def test_what_is_left_to_do_is_done_to_every_placed_batch():
    def finish(batch):
        return {"inputs": batch["inputs"] / 2}

    raw = IndexedBatches(lambda i: {"inputs": np.full(4, i)}, length=3)
    placed = PlacedBatches(raw, finish)
    assert [float(batch["inputs"][0]) for batch in placed] == [0.0, 0.5, 1.0]
