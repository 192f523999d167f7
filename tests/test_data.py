"""Batch i is a function of (seed, i) alone, and every epoch has every example once."""

import hashlib
import itertools
from typing import Any

import jax
import numpy as np
import pytest

from algoperf.data import (
    ArraySource,
    IndexedBatches,
    PlacedBatches,
    pad,
    permutation,
)
from algoperf.facts import Split
from algoperf.jax_sharding_utils import get_batch_dim_sharding

SIZE = 10  # training examples; example i has the target i


def load() -> dict[str, dict[str, np.ndarray]]:
    def split(start: int, size: int) -> dict[str, np.ndarray]:
        targets = np.arange(start, start + size)
        return {"inputs": np.stack([targets] * 3, axis=1), "targets": targets}

    return {
        "train": split(0, SIZE),
        "validation": split(100, 7),
        "test": split(200, 8),
    }


def halve(raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "inputs": (raw["inputs"] / 2).astype(np.float32),
        "targets": raw["targets"].astype(np.int32),
    }


SOURCE = ArraySource(load, num_eval_train=4, preprocess=halve)


def targets(
    split: Split, batch_size: int, count: int, seed: int = 0, position: int = 0
) -> list[list[int]]:
    batches = SOURCE.batches(split, batch_size, seed, position)
    return [b["targets"].tolist() for b in itertools.islice(batches, count)]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((10, 0, 0), [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]),
        ((10, 0, 1), [5, 3, 7, 8, 2, 4, 1, 0, 6, 9]),
        ((10, 1, 0), [3, 5, 2, 9, 7, 0, 8, 6, 1, 4]),
        ((10, 2**32 - 1, 5), [1, 6, 3, 8, 9, 0, 5, 4, 7, 2]),
    ],
)
def test_permutations_stay_the_same_for_ever(key, expected):
    assert permutation(*key).tolist() == expected


def test_a_long_permutation_stays_the_same_for_ever():
    order = permutation(50_000, 0, 0).astype("<i8")
    assert hashlib.sha256(order.tobytes()).hexdigest() == (
        "102a4e5751951639dc4e46c4394d2e8482597a81c50c104ebaa3ef3956b9ded8"
    )


def test_a_permutation_sorts_raw_draws_of_philox():
    draws = np.random.Philox(key=[3, 2]).random_raw(1_000).tolist()
    expected = sorted(range(1_000), key=lambda i: draws[i])
    assert permutation(1_000, 3, 2).tolist() == expected


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 23])
def test_every_epoch_is_a_permutation_and_nothing_is_dropped(batch_size):
    epochs = 6
    count = -(-epochs * SIZE // batch_size)
    rows = list(itertools.chain(*targets("train", batch_size, count)))
    for epoch in range(epochs):
        part = rows[epoch * SIZE : (epoch + 1) * SIZE]
        assert part == permutation(SIZE, 0, epoch).tolist()
        assert sorted(part) == list(range(SIZE))


@pytest.mark.parametrize("batch_size", [4, 10, 25])
def test_every_batch_is_full_even_across_the_end_of_an_epoch(batch_size):
    batches = targets("train", batch_size, 12)
    assert {len(batch) for batch in batches} == {batch_size}


def test_the_rows_of_a_batch_belong_together():
    for batch in itertools.islice(SOURCE.batches("train", 4, seed=0), 6):
        expected = np.stack([batch["targets"]] * 3, axis=1) / 2
        np.testing.assert_array_equal(batch["inputs"], expected)
        assert set(batch) == {"inputs", "targets"}


def test_epochs_differ():
    first, second, third = targets("train", SIZE, 3)
    assert first != second != third != first


def test_seeds_differ_and_equal_seeds_do_not():
    assert targets("train", 4, 9, seed=1) == targets("train", 4, 9, seed=1)
    orders = [targets("train", SIZE, 2, seed=seed) for seed in range(4)]
    assert all(a != b for a, b in itertools.combinations(orders, 2))


@pytest.mark.parametrize("position", [0, 1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_a_position_resumes_exactly(position, seed):
    uninterrupted = targets("train", 4, position + 5, seed)[position:]
    batches = SOURCE.batches("train", 4, seed, position)
    assert batches.position == position
    assert [next(batches)["targets"].tolist() for _ in range(5)] == uninterrupted
    assert batches.position == position + 5


def test_a_batch_does_not_depend_on_the_batches_before_it():
    straight = targets("train", 4, 40)
    for position in (39, 0, 17, 3, 17):
        assert targets("train", 4, 1, position=position) == [straight[position]]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 16])
@pytest.mark.parametrize(
    ("split", "expected"),
    [("validation", range(100, 107)), ("test", range(200, 208))],
)
def test_an_evaluation_is_one_pass_in_order(split, expected, batch_size):
    batches = list(SOURCE.batches(split, batch_size, seed=0))
    assert len(batches) == -(-len(expected) // batch_size)
    assert {len(b["targets"]) for b in batches} == {batch_size}
    rows = np.concatenate([b["targets"] for b in batches])
    weights = np.concatenate([b["weights"] for b in batches])
    assert weights.dtype == np.float32
    assert rows[: len(expected)].tolist() == list(expected)
    assert weights.tolist() == [1.0] * len(expected) + [0.0] * (
        len(rows) - len(expected)
    )
    assert not rows[len(expected) :].any()


def test_an_evaluation_can_be_resumed_and_ends_where_it_ends():
    batches = SOURCE.batches("validation", 3, seed=0, position=2)
    assert next(batches)["targets"].tolist() == [106, 0, 0]
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(batches)
    assert batches.position == 3


def test_evaluated_training_examples_are_the_same_for_every_seed():
    first, second = (targets("eval_train", 4, 9, seed) for seed in (0, 1))
    assert first == second == [permutation(SIZE, 0, 0)[:4].tolist()]
    assert len(set(first[0])) == 4


def test_data_is_loaded_once_and_only_when_it_is_needed():
    calls = []
    source = ArraySource(lambda: calls.append(1) or load(), 4, halve)
    assert not calls
    for split in ("train", "eval_train", "validation", "test"):
        next(source.batches(split, 4, seed=0))
    assert calls == [1]


def test_a_full_batch_is_not_copied():
    batch = {"inputs": np.ones((3, 2)), "targets": (np.ones(3),)}
    padded = pad(batch, 3)
    assert padded["inputs"] is batch["inputs"]
    assert padded["targets"][0] is batch["targets"][0]
    assert padded["weights"].tolist() == [1, 1, 1]


def test_padding_has_weight_0_in_every_array():
    batch = {"inputs": np.ones((2, 3, 4), np.float32), "targets": np.ones(2, np.int32)}
    padded = pad(batch, 5)
    assert padded["weights"].tolist() == [1, 1, 0, 0, 0]
    assert padded["inputs"].shape == (5, 3, 4)
    assert padded["inputs"].sum() == 24
    assert padded["targets"].tolist() == [1, 1, 0, 0, 0]
    kinds = {name: array.dtype for name, array in padded.items()}
    assert kinds == {"inputs": "float32", "targets": "int32", "weights": "float32"}
    assert "weights" not in batch


def numbered(length: int | None = None) -> IndexedBatches:
    def batch(index: int) -> dict[str, Any]:
        return {"inputs": np.full((4, 2), index), "targets": np.full(4, index)}

    return IndexedBatches(batch, length=length)


def test_indexed_batches_count_what_they_delivered():
    batches = numbered()
    assert iter(batches) is batches
    assert [next(batches)["targets"][0] for _ in range(3)] == [0, 1, 2]
    assert batches.position == 3


def test_placed_batches_are_split_over_the_devices():
    assert jax.device_count() == 2
    batch = next(PlacedBatches(numbered()))
    for array in batch.values():
        assert isinstance(array, jax.Array)
        assert array.sharding.is_equivalent_to(get_batch_dim_sharding(), array.ndim)
        assert [len(shard.data) for shard in array.addressable_shards] == [2, 2]
    assert type(batch) is dict


def test_the_position_of_placed_batches_does_not_count_what_is_on_its_way():
    batches = numbered()
    placed = PlacedBatches(batches)
    assert placed.position == 0
    assert [int(next(placed)["targets"][0]) for _ in range(3)] == [0, 1, 2]
    assert placed.position == 3
    assert batches.position == 4  # one ahead


def test_placed_batches_go_on_at_the_position_of_their_source():
    straight = PlacedBatches(SOURCE.batches("train", 4, seed=1))
    expected = [next(straight)["targets"].tolist() for _ in range(6)][3:]
    resumed = PlacedBatches(SOURCE.batches("train", 4, seed=1, position=3))
    assert resumed.position == 3
    assert [next(resumed)["targets"].tolist() for _ in range(3)] == expected


@pytest.mark.parametrize("length", [0, 1, 3])
def test_placed_batches_end_with_their_source(length):
    placed = PlacedBatches(numbered(length))
    assert [int(b["targets"][0]) for b in placed] == list(range(length))
    assert placed.position == length
    with pytest.raises(StopIteration):
        next(placed)
