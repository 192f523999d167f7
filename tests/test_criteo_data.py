"""Batches of prepared click logs: order, shuffling, splits, features, damage."""

import click_logs as logs
import jax
import numpy as np
import pytest

from algoperf.data import PlacedBatches, permutation
from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from algoperf.prepare.run import prepare
from workloads.criteo.data import Blocks, ClickLogs, shuffled
from workloads.criteo.files import RowFiles
from workloads.criteo.prepare import preparation
from workloads.criteo.rows import features

NUM_TRAIN = logs.EXAMPLES["train"]
OPTIONS = DataOptions(threads=2)
BLOCKS = Blocks(rows=3, per_window=4)  # 14 blocks, the last of one row; 4 windows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return logs.prepared(tmp_path_factory.mktemp("logs"))


@pytest.fixture
def source(folder):
    return ClickLogs(folder, logs.EXAMPLES, OPTIONS, BLOCKS)


def numbers(rows: np.ndarray) -> list[int]:
    """Which lines rows are: their first counts."""
    return rows[:, 1].tolist()


def take(batches, count: int) -> list[np.ndarray]:
    return [next(batches)["rows"] for _ in range(count)]


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("batch_size", [1, 4, 20, 32])
def test_held_out_splits_are_one_padded_pass_in_order(source, split, batch_size):
    expected = logs.split_rows(split)
    batches = list(source.batches(split, batch_size, seed=0))
    assert {batch["rows"].shape for batch in batches} == {(batch_size, 40)}
    rows = np.concatenate([batch["rows"] for batch in batches])
    weights = np.concatenate([batch["weights"] for batch in batches])
    np.testing.assert_array_equal(rows[: len(expected)], expected)
    np.testing.assert_array_equal(weights, np.arange(len(rows)) < len(expected))
    assert not rows[len(expected) :].any()


def test_every_epoch_has_every_row_once_in_an_order_of_its_own(source):
    rows = np.concatenate(take(source.batches("train", 7, seed=3), 3 * NUM_TRAIN // 7))
    every = sorted(numbers(logs.split_rows("train")))
    epochs = [numbers(rows[i : i + NUM_TRAIN]) for i in (0, NUM_TRAIN)]
    assert [sorted(epoch) for epoch in epochs] == [every, every]
    assert epochs[0] != epochs[1] != every


def test_rows_are_shuffled_beyond_their_block_and_whole(source):
    rows = np.concatenate(take(source.batches("train", 10, seed=1), 4))
    by_number = {row[1]: row for row in logs.split_rows("train")}
    for row in rows:
        np.testing.assert_array_equal(row, by_number[row[1]])
    # Neighbours of a file follow one another in few places.
    steps = np.diff(rows[:, 1].astype(int))
    assert np.sum(steps == 1) < 10
    # The first window of 12 rows has rows of both days.
    assert len({number // 100 for number in numbers(rows[:12])}) == 2


@pytest.mark.parametrize("batch_size", [1, 5, 12, 40, 90])
def test_a_batch_is_a_function_of_seed_and_index(source, batch_size):
    straight = take(source.batches("train", batch_size, seed=2), 12)
    for position in (1, 3, 8, 11):
        (resumed,) = take(source.batches("train", batch_size, 2, position), 1)
        np.testing.assert_array_equal(resumed, straight[position])
    (other,) = take(source.batches("train", batch_size, seed=4), 1)
    assert numbers(other) != numbers(straight[0]) or batch_size == 1


def test_neither_files_nor_threads_change_a_batch(folder, tmp_path, source):
    raw = logs.write_days(tmp_path / "raw")
    prepare(preparation(logs.SIZES), raw, tmp_path, lambda line: None)
    by_days = ClickLogs(
        tmp_path / "criteo1tb", logs.EXAMPLES, DataOptions(threads=1), BLOCKS
    )
    for split in logs.EXAMPLES:
        for ours, theirs in zip(
            take(source.batches(split, 4, seed=5), 3),
            take(by_days.batches(split, 4, seed=5), 3),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_eval_train_is_the_same_part_of_the_training_set(source):
    found = [
        np.concatenate(
            [b["rows"][b["weights"] > 0] for b in source.batches("eval_train", 5, seed)]
        )
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    own, every = numbers(found[0]), numbers(logs.split_rows("train"))
    assert len(set(own)) == len(own) == logs.EXAMPLES["eval_train"]
    assert set(own) < set(every)
    assert own == sorted(own)
    assert own != every[: len(own)]


def test_an_evaluation_may_begin_anywhere(source):
    whole = list(source.batches("test", 8, seed=0))
    (last,) = source.batches("test", 8, 0, position=2)
    jax.tree.map(np.testing.assert_array_equal, last, whole[2])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000])
def test_shuffled_numbers_are_a_permutation_of_each_window(size):
    orders = [shuffled(size, seed, n) for seed, n in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(size))
    if size == 1000:
        assert not any(np.array_equal(orders[0], other) for other in orders[1:])
        assert not np.array_equal(orders[0], permutation(size, 0, 0))
        # Of a random order, neighbours are on average a third of the range apart.
        assert 300 < np.abs(np.diff(orders[0])).mean() < 370


def test_features_are_logarithms_and_rounded_ids():
    rows = np.zeros((4, 40), np.uint32)
    rows[1, 0] = 1
    rows[:, 1] = [0, 1, 9, 2**32 - 1]
    rows[:, 39] = [2**24 + 1, 2**24 + 3, 39_979_769, 5]
    weights = np.array([1, 1, 1, 0], np.float32)
    batch = jax.jit(features)({"rows": rows, "weights": weights})
    assert batch.keys() == {"inputs", "targets", "weights"}
    inputs = np.asarray(batch["inputs"])
    assert inputs.dtype == batch["targets"].dtype == np.float32
    np.testing.assert_array_equal(batch["targets"], [0, 1, 0, 0])
    logarithms = np.log([1, 2, 10, 2**32])
    np.testing.assert_allclose(inputs[:, 0], logarithms, rtol=3e-7)
    # Halfway between two float32 numbers the even one is taken.
    np.testing.assert_array_equal(inputs[:, 38], [2**24, 2**24 + 4, 39_979_768, 5])
    np.testing.assert_array_equal(batch["weights"], weights)


def test_batches_reach_the_model_as_features(source):
    placed = PlacedBatches(source.batches("train", 4, seed=0), features)
    rows = take(source.batches("train", 4, seed=0), 1)[0]
    batch = next(placed)
    np.testing.assert_array_equal(batch["targets"], rows[:, 0])
    np.testing.assert_array_equal(batch["inputs"][:, 13:], rows[:, 14:].astype("f4"))


# Folders that are not right.


def test_a_wrong_number_of_rows_is_named(folder):
    with pytest.raises(UserError) as error:
        RowFiles(folder, "test", 21)
    assert str(error.value) == (
        f"{folder}/test has 20 rows in 2 files, and should have 21. Prepare it again: "
        "algoperf prepare."
    )


def test_a_truncated_file_is_named(tmp_path):
    folder = logs.prepared(tmp_path)
    path = folder / "test" / "day_02_01.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"day_02_01.npy is damaged: .*--verify` finds"):
        RowFiles(folder, "test", 20)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"day_02_01.npy is damaged: "):
        RowFiles(folder, "test", 20)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((20, 39), np.uint32), r"uint32 \[20, 39\]"),
        (np.zeros((20, 40), np.float32), r"float32 \[20, 40\]"),
        (np.zeros(20, np.uint32), r"uint32 \[20\]"),
    ],
)
def test_another_kind_of_array_is_named(tmp_path, array, found):
    (tmp_path / "test").mkdir()
    np.save(tmp_path / "test" / "day_02.npy", array)
    with pytest.raises(UserError, match=rf"it has {found}, and should have uint32"):
        RowFiles(tmp_path, "test", 20)
