"""fastMRI's batches: the numbers of the files, whatever the layout and the threads."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tiny_knee as tiny

from algoperf.data import permutation
from algoperf.facts import EVAL_SPLITS
from workloads.fastmri.kspace import prepare_slices
from workloads.fastmri.masks import EVAL_SEED, column_masks
from workloads.fastmri.workload import random_slices

BATCH = 3
TRAIN = tiny.EXAMPLES["train"]  # 7: epochs end within batches of 3
WIDEST = 16


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """The official files; tests only read them."""
    return tiny.write(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def prepared(official, tmp_path_factory) -> Path:
    """What `algoperf prepare` makes of them."""
    return tiny.make_records(official, tmp_path_factory.mktemp("prepared"))


@pytest.fixture(params=["official", "prepared"])
def folder(request) -> Path:
    return request.getfixturevalue(request.param)


def batches(folder, count: int, seed=0, position=0, split="train", size=BATCH, **more):
    endless = tiny.source(folder, **more).batches(split, size, seed, position)
    return list(itertools.islice(endless, count))


def whole(folder: Path, split: str) -> dict[str, np.ndarray]:
    """A split in one batch."""
    (batch,) = tiny.source(folder).batches(split, tiny.EXAMPLES[split], 0)
    return dict(batch)


def assert_equal(found, expected):
    assert [batch.keys() for batch in found] == [batch.keys() for batch in expected]
    for batch, other in zip(found, expected, strict=True):
        for name, array in other.items():
            np.testing.assert_array_equal(batch[name], array, err_msg=name)


def assert_holds(batch, place: int, name: str, index: int) -> None:
    """That the batch has this slice in this place."""
    arrays, columns = tiny.arrays(name), (tiny.TRAIN | tiny.VAL)[name][0]
    kspace = batch["kspace"][place]
    np.testing.assert_array_equal(kspace[:, :columns], arrays["kspace"][index])
    assert not kspace[:, columns:].any()
    assert batch["num_columns"][place] == columns
    assert not batch["keep"][place, columns:].any()
    target = arrays["reconstruction_esc"][index]
    np.testing.assert_array_equal(batch["targets"][place], target)
    np.testing.assert_allclose(batch["volume_max"][place], tiny.maximum(name))


# --- what is in a batch -------------------------------------------------------------


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_evaluation_has_the_slices_of_its_volumes_by_name(folder, split):
    batch, expected = whole(folder, split), tiny.in_order(split)
    assert len(expected) == tiny.EXAMPLES[split] == len(batch["targets"])
    for place, (name, index) in enumerate(expected):
        assert_holds(batch, place, name, index)
    np.testing.assert_array_equal(batch["weights"], 1)


def test_validation_is_the_first_hundred_names_as_text():
    volumes = {name for name, _ in tiny.in_order("validation")}
    assert volumes == {f"file{number}" for number in range(100, 200)}
    assert tiny.in_order("test") == [("file98", 0), ("file98", 1), ("file99", 0)]


def test_a_training_batch_is_its_slices_one_by_one(folder):
    order = tiny.in_order("train")
    for index, batch in enumerate(batches(folder, 5, seed=5)):
        assert batch["kspace"].shape == (BATCH, tiny.ROWS, WIDEST)
        for place in range(BATCH):
            epoch, rank = divmod(index * BATCH + place, TRAIN)
            row = int(permutation(TRAIN, 5, epoch)[rank])
            assert_holds(batch, place, *order[row])


def test_random_batches_have_the_same_shapes_and_types(folder):
    drawn = random_slices(tiny.SIZE, (tiny.ROWS, WIDEST))
    for split, width in (("train", WIDEST), ("validation", 14)):
        read = batches(folder, 1, split=split)[0]
        kinds = [
            {name: (leaf.shape, leaf.dtype) for name, leaf in batch.items()}
            for batch in (read, next(drawn.batches(split, BATCH, 0)))
        ]
        for name in ("kspace", "keep"):
            shape, dtype = kinds[1][name]
            kinds[1][name] = ((*shape[:-1], width), dtype)
        assert kinds[0] == kinds[1]


def test_both_layouts_give_the_same_batches(official, prepared):
    for split in ("train", *EVAL_SPLITS):
        assert_equal(
            batches(official, 4, seed=3, split=split),
            batches(prepared, 4, seed=3, split=split),
        )


def test_the_folder_may_have_the_name_that_algoperf_gives_it(official, tmp_path):
    named = tiny.write(tmp_path, named="knee_singlecoil_{}")
    assert_equal([whole(named, "test")], [whole(official, "test")])


def test_a_slice_of_zeros_becomes_a_finite_image(folder):
    batch = whole(folder, "eval_train") | {"weights": np.ones(5, np.float32)}
    rows = permutation(TRAIN, 0, 0)[:5]
    (place,) = np.flatnonzero([tiny.in_order("train")[r] == tiny.BLANK for r in rows])
    assert not batch["kspace"][place].any()
    finished = prepare_slices(batch)
    assert all(np.all(np.isfinite(leaf)) for leaf in finished.values())
    np.testing.assert_array_equal(finished["inputs"][place], 0)


# --- a function of seed and index ---------------------------------------------------


@pytest.mark.parametrize(("threads", "position"), [(1, 0), (5, 0), (2, 1), (1, 4)])
def test_threads_and_position_change_no_batch(folder, threads, position):
    expected = batches(folder, 6, seed=9)[position:]
    found = batches(folder, 6 - position, seed=9, position=position, threads=threads)
    assert_equal(found, expected)


@pytest.mark.parametrize("seed", [0, 2**63 + 5, 2**64 - 1])
def test_every_epoch_has_every_slice_once_and_with_another_mask(folder, seed):
    some = batches(folder, TRAIN, seed=seed)  # 7 batches of 3: three epochs
    targets = np.concatenate([batch["targets"] for batch in some])
    keep = np.concatenate([batch["keep"] for batch in some])
    epochs = targets.reshape(3, TRAIN, -1)
    orders = [np.lexsort(epoch.T) for epoch in epochs]
    assert len({tuple(order) for order in orders}) == 3
    for epoch, order in zip(epochs, orders, strict=True):
        np.testing.assert_array_equal(epoch[order], epochs[0][orders[0]])
    masks = np.stack(
        [m[o] for m, o in zip(keep.reshape(3, TRAIN, -1), orders, strict=True)]
    )
    assert np.any(masks[1:] != masks[:-1], axis=2).mean() > 0.8


@pytest.mark.parametrize("seeds", [(0, 1), (2**63 + 5, 2**63 + 9)])
def test_another_seed_gives_another_order_and_other_masks(folder, seeds):
    one, other = (batches(folder, 1, seed=seed, size=TRAIN)[0] for seed in seeds)
    assert not np.array_equal(one["targets"], other["targets"])
    orders = [np.lexsort(b["targets"].reshape(TRAIN, -1).T) for b in (one, other)]
    assert not np.array_equal(one["keep"][orders[0]], other["keep"][orders[1]])


def test_a_training_mask_does_not_depend_on_the_batch(folder):
    straight = np.concatenate([b["keep"] for b in batches(folder, 7, seed=2, size=2)])
    (together,) = batches(folder, 1, seed=2, size=14)
    np.testing.assert_array_equal(straight, together["keep"])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_masks_are_algoperfs(folder, split):
    batch = whole(folder, split)
    width = batch["keep"].shape[1]
    for place, columns in enumerate(batch["num_columns"]):
        mask = column_masks(np.array([columns]), np.array([EVAL_SEED]), width)[0]
        np.testing.assert_array_equal(batch["keep"][place], mask)


def test_the_evaluated_part_of_train_is_the_same_for_every_seed(folder):
    one, other = (
        batches(folder, 2, seed=seed, split="eval_train", size=5) for seed in (0, 7)
    )
    assert_equal(one, other)
    assert len(one) == 1
    assert len(np.unique(one[0]["keep"], axis=0)) > 1


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_last_batch_is_padded_and_padding_has_weight_0(folder, size):
    parts = list(tiny.source(folder).batches("test", size, 0))
    together = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    assert [len(part["weights"]) for part in parts] == [size] * -(-3 // size)
    np.testing.assert_array_equal(np.flatnonzero(together["weights"]), range(3))
    for name, array in whole(folder, "test").items():
        np.testing.assert_array_equal(together[name][:3], array)
        assert not together[name][3:].any()
    finished = prepare_slices(parts[-1])
    assert all(np.all(np.isfinite(leaf)) for leaf in finished.values())
