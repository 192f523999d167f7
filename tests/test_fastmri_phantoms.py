"""Generated volumes in k-space: repeatable, whole, and worth reconstructing."""

import hashlib
from typing import Any

import jax
import numpy as np
import pytest

from workloads.fastmri import phantoms as module
from workloads.fastmri.data import mask_seeds, slices_in_memory
from workloads.fastmri.kspace import prepare_slices, reconstruct
from workloads.fastmri.masks import EVAL_SEED, column_masks
from workloads.fastmri.phantoms import ROWS, SIZE, SLICES, WIDTHS, phantoms

SPLITS = ("train", "validation", "test")


def generated(train=0, validation=0, test=0, seed=3) -> Any:
    """Slices by split, made anew."""
    module._split.cache_clear()
    return phantoms({"train": train, "validation": validation, "test": test}, seed)


@pytest.fixture(scope="module")
def drawn() -> Any:
    return generated(train=120, validation=60, test=30)


def digest(arrays: Any) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_they_are_a_function_of_the_seed(drawn):
    splits = generated(train=120, validation=60, test=30)
    for name in SPLITS:
        assert digest(splits[name].values()) == digest(drawn[name].values())
    other = generated(train=120, seed=4)["train"]
    assert not np.array_equal(other["kspace"], drawn["train"]["kspace"])


def test_a_split_depends_neither_on_the_others_nor_on_its_length(drawn):
    alone = generated(test=20)["test"]
    for name, array in alone.items():
        np.testing.assert_array_equal(array, drawn["test"][name][:20])


@pytest.mark.parametrize("count", [0, 1, SLICES + 1])
def test_any_number_can_be_had(count):
    split = generated(train=count)["train"]
    kinds = {name: (array.shape, array.dtype) for name, array in split.items()}
    assert kinds == {
        "kspace": ((count, ROWS, max(WIDTHS)), np.complex64),
        "num_columns": ((count,), np.int32),
        "targets": ((count, SIZE, SIZE), np.float32),
        "volume_max": ((count,), np.float32),
    }
    for array in split.values():
        assert not array.flags.writeable


def test_targets_are_the_images_of_the_whole_k_space(drawn):
    split = drawn["train"]
    assert set(split["num_columns"]) == set(WIDTHS)
    image = jax.jit(reconstruct, static_argnums=1)(
        split["kspace"], SIZE, split["num_columns"]
    )
    np.testing.assert_allclose(image, split["targets"], atol=2e-5)
    for kspace, width in zip(split["kspace"], split["num_columns"], strict=True):
        assert not kspace[:, width:].any()


def test_the_largest_pixel_is_that_of_the_volume(drawn):
    for split in (drawn["train"], drawn["validation"]):
        largest = split["targets"].reshape(-1, SLICES * SIZE * SIZE).max(axis=1)
        np.testing.assert_array_equal(split["volume_max"], np.repeat(largest, SLICES))


def test_no_slice_is_in_two_places(drawn):
    images = [image.tobytes() for name in SPLITS for image in drawn[name]["targets"]]
    assert len(set(images)) == 210


def test_slices_of_a_volume_are_alike_and_volumes_are_not(drawn):
    images = drawn["train"]["targets"].reshape(-1, SLICES, SIZE * SIZE)

    def likeness(one, other):
        pairs = zip(one.reshape(-1, SIZE**2), other.reshape(-1, SIZE**2), strict=True)
        return np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])

    assert likeness(images[:, 5], images[:, 6]) > 0.85
    assert likeness(images[1:, 5], images[:-1, 5]) < 0.7


def test_noise_and_phase_are_there(drawn):
    split = drawn["train"]
    corner = split["targets"][:, :4, :4]  # outside of most bodies
    # The magnitude of complex noise: Rayleigh, of mean 1.25 deviations.
    assert np.median(corner) == pytest.approx(0.03 * 1.18, rel=0.2)
    # k-space of a real image would mirror itself, conjugate.
    width = split["num_columns"][0]
    kspace = split["kspace"][0, 1:, 1:width]
    mirrored = np.conj(kspace[::-1, ::-1])
    assert np.abs(kspace - mirrored).mean() > 0.3 * np.abs(kspace).mean()


def test_undersampling_hurts():
    """Else there would be nothing to learn."""
    load = lambda: generated(validation=60)  # noqa: E731
    (raw,) = slices_in_memory(load, 0).batches("validation", 60, 0)
    batch = jax.jit(prepare_slices)(raw)
    away = np.abs(np.asarray(batch["inputs"]) - batch["targets"]).mean()
    assert 0.2 < away < 0.6
    assert 0.2 < raw["keep"].sum(axis=1).mean() / np.mean(WIDTHS) < 0.3


def test_batches_bring_the_masks_of_their_slices():
    examples = {"train": 30, "validation": 9, "test": 0}
    source = slices_in_memory(lambda: phantoms(examples, 3), 12)
    width = max(WIDTHS)
    (held_out,) = source.batches("validation", 9, 0)
    seeds = np.array([EVAL_SEED] * 9)
    expected = column_masks(held_out["num_columns"], seeds, width)
    np.testing.assert_array_equal(held_out["keep"], expected)
    (seen,) = source.batches("eval_train", 12, 0)
    assert len(np.unique(seen["keep"], axis=0)) == 12
    training = source.batches("train", 30, 5)
    masks = {}
    for epoch in range(2):
        batch = next(training)
        order = np.argsort(batch["targets"][:, 30, 30])
        masks[epoch] = batch["keep"][order]
    assert np.any(masks[0] != masks[1], axis=1).all()


def test_seeds_of_masks_are_different_for_every_seed_epoch_and_slice():
    seeds = [0, 1, 2**64 - 1]
    epochs, rows = np.divmod(np.arange(40), 20)
    pairs = [tuple(pair) for s in seeds for pair in mask_seeds(s, epochs, rows)]
    assert len(set(pairs)) == 120
    assert len(column_masks(np.full(40, 372), mask_seeds(seeds[2], epochs, rows))) == 40
