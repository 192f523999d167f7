"""Small images: what augments one is a function of seed, epoch and example."""

import itertools

import numpy as np
import pytest

from algoperf.data import EVAL_TRAIN_SEED, permutation
from workloads.imagenet.crops import pad_crop_flip
from workloads.imagenet.random_draws import batch_key, epoch_draws
from workloads.imagenet.small_images import small_images

EXAMPLES = {"train": 10, "eval_train": 4, "validation": 5, "test": 3}
SIDE = 8


def load() -> dict[str, dict[str, np.ndarray]]:
    """Random images, whose label tells which one of its split it is."""
    random = np.random.default_rng(0)
    return {
        split: {
            "inputs": random.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8),
            "targets": np.arange(count, dtype=np.uint8),
        }
        for split, count in EXAMPLES.items()
        if split != "eval_train"
    }


def train(count: int, batch_size: int = 4, seed: int = 0, **options):
    """The first training batches of a source of their own."""
    mixes, position = options.get("mixes", False), options.get("position", 0)
    source = small_images(load, EXAMPLES, mixes)
    return list(
        itertools.islice(source.batches("train", batch_size, seed, position), count)
    )


def joined(batches, name: str) -> np.ndarray:
    return np.concatenate([batch[name] for batch in batches])


def by_epoch(seed: int, epochs: int, batch_size: int) -> list[np.ndarray]:
    """The images of each epoch, sorted by their number in the training set."""
    size = EXAMPLES["train"]
    batches = train(-(-epochs * size // batch_size), batch_size, seed)
    images, numbers = joined(batches, "inputs"), joined(batches, "targets")
    parts = [slice(epoch * size, (epoch + 1) * size) for epoch in range(epochs)]
    return [images[part][np.argsort(numbers[part])] for part in parts]


def test_a_training_image_is_moved_and_mirrored_by_the_draw_of_its_epoch():
    size, raw = EXAMPLES["train"], load()["train"]["inputs"]
    batches = train(6, seed=3)  # 24 examples of 10: batches at seams have two epochs
    images, numbers = joined(batches, "inputs"), joined(batches, "targets")
    for place in range(24):
        epoch, rank = divmod(place, size)
        row = permutation(size, 3, epoch)[rank]
        draw = epoch_draws(3, epoch, size)[row]
        expected = pad_crop_flip(raw[row : row + 1], np.array([draw]))[0]
        np.testing.assert_array_equal(images[place], expected)
        assert numbers[place] == row


@pytest.mark.parametrize("batch_size", [1, 3, 10, 25])
def test_the_batch_size_does_not_change_how_an_image_is_augmented(batch_size):
    for found, expected in zip(
        by_epoch(2, 3, batch_size), by_epoch(2, 3, batch_size=4), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("position", [1, 2, 5])
def test_a_batch_does_not_depend_on_the_batches_before_it(position):
    expected = train(7, seed=1, mixes=True)[position:]
    found = train(7 - position, seed=1, position=position, mixes=True)
    for batch, other in zip(found, expected, strict=True):
        assert batch.keys() == other.keys()
        for name, array in other.items():
            np.testing.assert_array_equal(batch[name], array)


def test_epochs_and_seeds_differ():
    first, second = by_epoch(0, 2, batch_size=5)
    (other_seed,) = by_epoch(1, 1, batch_size=5)
    (again,) = by_epoch(0, 1, batch_size=5)
    np.testing.assert_array_equal(first, again)
    for other in (second, other_seed):
        same = (first == other).all(axis=(1, 2, 3))
        assert same.sum() <= 2  # of 10; 50 choices an image


def test_images_that_are_evaluated_stay_as_they_are():
    source, raw = small_images(load, EXAMPLES, mixes=True), load()
    for split in ("validation", "test"):
        batches = list(source.batches(split, 4, seed=3))
        real = joined(batches, "weights") == 1
        np.testing.assert_array_equal(
            joined(batches, "inputs")[real], raw[split]["inputs"]
        )
        assert all("mixup_key" not in batch for batch in batches)
    rows = permutation(EXAMPLES["train"], EVAL_TRAIN_SEED, 0)[:4]
    for seed in (0, 5):
        (batch,) = source.batches("eval_train", 4, seed)
        np.testing.assert_array_equal(batch["inputs"], raw["train"]["inputs"][rows])


@pytest.mark.parametrize("split", ["train", "eval_train", "validation", "test"])
def test_pixels_are_uint8_and_labels_int32(split):
    batch = next(small_images(load, EXAMPLES).batches(split, 4, 0))
    assert batch["inputs"].dtype == np.uint8
    assert batch["inputs"].shape == (4, SIDE, SIDE, 3)
    assert batch["targets"].dtype == np.int32
    assert ("weights" in batch) == (split != "train")


def test_augmenting_leaves_the_images_in_memory_alone():
    arrays = load()
    source = small_images(lambda: arrays, EXAMPLES)
    list(itertools.islice(source.batches("train", 10, 0), 3))
    for split, expected in load().items():
        np.testing.assert_array_equal(arrays[split]["inputs"], expected["inputs"])


def test_batches_that_are_mixed_up_bring_a_key_of_their_own():
    batches = train(4, seed=9, mixes=True)
    keys = [batch["mixup_key"] for batch in batches]
    for index, key in enumerate(keys):
        assert (key.shape, key.dtype) == ((4, 2), np.uint32)
        np.testing.assert_array_equal(key, np.tile(batch_key(9, index), (4, 1)))
    assert len({key.tobytes() for key in keys}) == 4
    assert "mixup_key" not in train(1)[0]
