"""Random batches stand in for real ones: the same names, shapes, types and bounds."""

import itertools
from typing import Any

import jax
import numpy as np
import pytest
import tiny_imagenet as tiny

from algoperf.data_options import DataOptions
from algoperf.facts import EVAL_SPLITS, UserError
from algoperf.random_data import Drawn, RandomSource
from workloads.catalog import CATALOG
from workloads.imagenet.data import ImageNet
from workloads.imagenet.workload import random_images
from workloads.loading import load, without_data

SIDE, BATCH = 16, 4
RANDOM = DataOptions(random=True)
IMAGES = ("cifar", "imagenet_resnet", "imagenet_vit")
MINI = [name for name, facts in CATALOG.items() if facts.scale == "mini"]


def first(source, split: str, size: int = BATCH, seed: int = 0) -> dict[str, Any]:
    return next(source.batches(split, size, seed))


def kinds(batch) -> dict[str, tuple[Any, ...]]:
    return {name: (leaf.shape, leaf.dtype) for name, leaf in batch.items()}


@pytest.mark.parametrize("split", ["train", *EVAL_SPLITS])
@pytest.mark.parametrize("mixes", [False, True])
def test_they_are_like_what_reading_images_gives(tmp_path, mixes, split):
    files = ImageNet(
        tiny.write(tmp_path), tiny.EXAMPLES, DataOptions(), mixes, size=SIDE
    )
    drawn = random_images(SIDE, num_classes=3, mixes=mixes)
    assert kinds(first(drawn, split)) == kinds(first(files, split))


def test_bytes_and_labels_fill_their_ranges():
    batch = first(random_images(SIDE, num_classes=10, mixes=True), "train", 200)
    assert (batch["inputs"].min(), batch["inputs"].max()) == (0, 255)
    # Uniform in 0 ... 255: mean 127.5, deviation 73.9.
    error = 73.9 / batch["inputs"].size ** 0.5
    assert abs(batch["inputs"].mean() - 127.5) < 4 * error
    assert set(batch["targets"].tolist()) == set(range(10))
    assert batch["mixup_key"].max() > 2**31, "all bits are drawn"


def test_floats_are_normal_and_of_their_type():
    example = {"x": Drawn((500,), np.float32), "y": Drawn((3,), np.float16)}
    batch = first(RandomSource(example), "train", 200)
    assert (batch["x"].dtype, batch["y"].dtype) == (np.float32, np.float16)
    error = 1 / batch["x"].size ** 0.5
    assert abs(batch["x"].mean()) < 4 * error
    assert abs(batch["x"].std() - 1) < 4 * error


def test_integers_are_within_their_bounds():
    example = {"x": Drawn((500,), np.int16, below=3, at_least=-2)}
    batch = first(RandomSource(example), "train")
    assert np.unique(batch["x"]).tolist() == [-2, -1, 0, 1, 2]


def test_complex_numbers_have_two_parts_and_booleans_are_either():
    example = {"z": Drawn((500,), np.complex64), "keep": Drawn((500,), np.bool_)}
    batch = first(RandomSource(example), "train", 200)
    assert (batch["z"].dtype, batch["keep"].dtype) == (np.complex64, np.bool_)
    error = 1 / batch["z"].size ** 0.5
    for part in (batch["z"].real, batch["z"].imag):
        assert abs(part.mean()) < 4 * error
        assert abs(part.std() - 1) < 4 * error
    assert abs(np.mean(batch["z"].real * batch["z"].imag)) < 4 * error
    assert abs(batch["keep"].mean() - 0.5) < 4 * error


def test_two_sources_draw_the_same_whatever_the_seed():
    for split in ("train", "validation"):
        one, other = (
            first(random_images(SIDE, 10), split, seed=seed) for seed in (0, 5)
        )
        for name, array in one.items():
            np.testing.assert_array_equal(other[name], array)


def test_a_resumed_trial_gets_the_batch_of_its_position():
    source = random_images(SIDE, 10)
    straight = list(itertools.islice(source.batches("train", BATCH, 0), 4))
    resumed = source.batches("train", BATCH, 0, position=3)
    assert resumed.position == 3
    np.testing.assert_array_equal(next(resumed)["inputs"], straight[3]["inputs"])
    assert resumed.position == 4


@pytest.mark.parametrize("size", [1, 6])
def test_an_evaluation_is_one_batch_without_padding(size):
    source = random_images(SIDE, 10)
    for split in EVAL_SPLITS:
        (batch,) = source.batches(split, size, 0)
        np.testing.assert_array_equal(batch["weights"], np.ones(size, np.float32))
        assert len(batch["inputs"]) == size
        assert list(source.batches(split, size, 0, position=1)) == []


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_workload_gets_batches_like_its_example(name):
    workload = load(name, options=RANDOM)
    for split in ("validation", "train"):
        batch = next(workload.batches(split, BATCH))
        for leaf, example in workload.example_batch.items():
            if (name, split, leaf) == ("imagenet_vit", "train", "targets"):
                assert batch[leaf].shape == (BATCH, 1_000)  # mixed up
                np.testing.assert_allclose(batch[leaf].sum(axis=1), 1, rtol=1e-5)
                continue
            assert batch[leaf].shape == (BATCH, *example.shape[1:])
            assert batch[leaf].dtype == example.dtype
        assert batch.keys() - workload.example_batch.keys() <= {"weights"}
        assert len(batch["inputs"].addressable_shards) == jax.device_count()


@pytest.mark.parametrize("name", IMAGES)
def test_shapes_of_a_full_workload_need_no_data(name):
    workload = without_data(name)
    assert workload.facts is CATALOG[name]
    assert workload.num_params > 10**7


@pytest.mark.parametrize("name", MINI)
def test_workloads_that_bring_their_data_refuse_random_batches(name):
    with pytest.raises(UserError) as error:
        load(name, options=RANDOM)
    assert str(error.value) == (
        "--data=random is for full workloads, whose data may not be there; "
        f"{name} brings its own. Leave the flag out."
    )


def test_integers_may_have_a_bound_for_each_place_of_the_last_dimension():
    source = RandomSource({"rows": Drawn((3,), np.uint32, (1, 5, 40_000_000))})
    rows = first(source, "train", 200)["rows"]
    assert (rows.shape, rows.dtype) == ((200, 3), np.uint32)
    assert set(rows[:, 0]) == {0}
    assert set(rows[:, 1]) == set(range(5))
    assert 30_000_000 < rows[:, 2].max() < 40_000_000
