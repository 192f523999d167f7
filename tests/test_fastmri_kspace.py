"""Masks and reconstruction of fastMRI, against other sources."""

import jax
import numpy as np
import pytest

from algoperf.facts import UserError
from workloads.fastmri.kspace import prepare_slices, reconstruct
from workloads.fastmri.masks import (
    EVAL_SEED,
    column_masks,
    philox_4x32,
    stateless_uniform,
)

RANDOM = np.random.default_rng(11)
# Drawn by TensorFlow 2.21 with seed (0, 0); 1 of 24 and 29 of 368 are the middle.
KEPT_OF_24 = [0, 7, 10, 11, 12, 13, 17, 19, 20, 23]
KEPT_OF_368 = [
    *(10, 11, 19, 20, 25, 28, 30, 32, 38, 49, 53, 55, 63, 66, 69, 76, 82, 86, 91),
    *(105, 113, 118, 122, 125, 135, 140, 153, 156, 162, 164, *range(170, 199)),
    *(202, 203, 208, 219, 226, 228, 232, 233, 237, 242, 245, 249, 250, 253, 266, 274),
    *(283, 286, 294, 296, 301, 302, 305, 309, 312, 320, 321, 322, 326, 330, 333, 346),
    *(351, 352, 358, 361, 363, 366),
]


def test_philox_gives_the_published_known_answers():
    # Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
    counters = [
        [0, 0, 0, 0],
        [0xFFFFFFFF] * 4,
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
    ]
    keys = [[0, 0], [0xFFFFFFFF] * 2, [0xA4093822, 0x299F31D0]]
    expected = [
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ]
    ours = philox_4x32(np.array(counters), np.array(keys))
    assert ours.dtype == np.uint32
    np.testing.assert_array_equal(ours, expected)


def philox_by_integers(counter, key):
    """Ten rounds with Python's integers, from the definition."""
    counter, key = list(counter), list(key)
    for _ in range(10):
        first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [
            (second >> 32) ^ counter[1] ^ key[0],
            second & 0xFFFFFFFF,
            (first >> 32) ^ counter[3] ^ key[1],
            first & 0xFFFFFFFF,
        ]
        key[0] = (key[0] + 0x9E3779B9) & 0xFFFFFFFF
        key[1] = (key[1] + 0xBB67AE85) & 0xFFFFFFFF
    return counter


@pytest.mark.parametrize("seed", [(0, 0), (7, 123_456_789_012), (-1, 3)])
def test_uniform_draws_are_derived_from_the_seed_by_integers(seed):
    words = [half for part in seed for half in (part & 0xFFFFFFFF, part >> 32)]
    mix = philox_by_integers([w & 0xFFFFFFFF for w in words], [0x3EC8F720, 0x02461E29])
    start = (mix[2] << 64) | (mix[3] << 96)
    draws = []
    for block in range(3):
        counter = [(start + block) >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)]
        draws += philox_by_integers(counter, mix[:2])
    expected = [(word & 0x7FFFFF) / 2**23 for word in draws]
    np.testing.assert_array_equal(
        stateless_uniform(np.array([seed]), 10)[0], expected[:10]
    )


@pytest.mark.parametrize(("columns", "kept"), [(24, KEPT_OF_24), (368, KEPT_OF_368)])
def test_evaluation_masks_are_those_tensorflow_drew(columns, kept):
    mask = column_masks(np.array([columns]), np.array([EVAL_SEED]))
    np.testing.assert_array_equal(np.flatnonzero(mask[0]), kept)


def test_a_mask_depends_on_its_own_slice_alone():
    columns = np.array([368, 320, 372, 0])  # the last is padding
    seeds = np.array([[3, 0], [3, 1], [3, 2], [0, 0]])
    together = column_masks(columns, seeds, width=400)
    assert together.shape == (4, 400)
    for row, (count, seed) in enumerate(zip(columns, seeds, strict=True)):
        alone = column_masks(np.array([count]), np.array([seed]))
        np.testing.assert_array_equal(together[row, :count], alone[0])
        assert not together[row, count:].any()


def test_a_quarter_of_the_columns_is_kept_on_average():
    seeds = np.stack([np.full(2000, 5), np.arange(2000)], axis=1)
    masks = column_masks(np.full(2000, 372), seeds)
    low = 29  # of 372, in the middle
    start = (372 - low + 1) // 2
    assert masks[:, start : start + low].all()
    assert abs(masks.mean() - 0.25) < 0.002
    assert len(np.unique(masks, axis=0)) == 2000


def transformed(kspace, size):
    """Magnitudes from the definition of the transform, with explicit sums."""
    image = kspace.astype(np.complex128)
    for axis in (0, 1):
        n = image.shape[axis]
        centred = np.arange(n) - n // 2
        basis = np.exp(2j * np.pi * np.outer(centred, centred) / n) / np.sqrt(n)
        image = np.moveaxis(np.tensordot(basis, image, axes=(1, axis)), 0, axis)
        start = (n - size) // 2
        image = image.take(range(start, start + size), axis=axis)
    return np.abs(image)


def slices(widths, rows=20, size=8, width=None):
    """A batch of slices, filled up at the right."""
    width = width or max(widths)
    kspace = np.zeros((len(widths), rows, width), np.complex64)
    for row, n in enumerate(widths):
        noise = RANDOM.normal(size=(2, rows, n))
        kspace[row, :, :n] = noise[0] + 1j * noise[1]
    keep = column_masks(
        np.array(widths), np.array([[1, i] for i in range(len(widths))])
    )
    return {
        "kspace": kspace,
        "keep": np.pad(keep, ((0, 0), (0, width - keep.shape[1]))),
        "num_columns": np.array(widths, np.int32),
        "targets": RANDOM.normal(size=(len(widths), size, size)).astype(np.float32),
        "volume_max": np.ones(len(widths), np.float32),
    }


def test_slices_are_reconstructed_and_normalised_as_defined():
    widths = [18, 25, 24]
    batch = slices(widths)
    batch["targets"][0, 0, 0] = 100.0
    ours = jax.jit(prepare_slices)(batch)
    assert set(ours) == {"inputs", "targets", "mean", "std", "volume_max"}
    for row, n in enumerate(widths):
        masked = batch["kspace"][row, :, :n] * batch["keep"][row, :n]
        image = transformed(masked, 8)
        mean, std = image.mean(), image.std()
        np.testing.assert_allclose(ours["mean"][row], mean, rtol=1e-5)
        np.testing.assert_allclose(ours["std"][row], std, rtol=1e-5)
        expected = np.clip((image - mean) / std, -6, 6)
        np.testing.assert_allclose(ours["inputs"][row], expected, atol=2e-5)
        expected = np.clip((batch["targets"][row] - mean) / std, -6, 6)
        np.testing.assert_allclose(ours["targets"][row], expected, atol=2e-5)
    assert ours["targets"][0, 0, 0] == 6.0


@pytest.mark.parametrize("width", [24, 25])
def test_slices_of_one_width_need_no_count(width):
    kspace = slices([width, width])["kspace"]
    expected = [transformed(part, 8) for part in kspace]
    ours = jax.jit(reconstruct, static_argnums=1)(kspace, 8)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_columns_that_fill_up_a_slice_change_nothing():
    filled = slices([24, 24], width=40)
    ours = jax.jit(reconstruct, static_argnums=1)(
        filled["kspace"], 8, filled["num_columns"]
    )
    expected = [transformed(part[:, :24], 8) for part in filled["kspace"]]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_an_empty_slice_and_padding_stay_finite():
    batch = slices([24, 24])
    batch["kspace"][:] = 0
    batch["targets"][:] = 0
    batch["num_columns"][1] = 0
    ours = jax.jit(prepare_slices)(batch)
    np.testing.assert_array_equal(ours["inputs"], 0.0)
    np.testing.assert_array_equal(ours["targets"], 0.0)
    np.testing.assert_array_equal(ours["std"], 1.0)


def test_k_space_smaller_than_the_image_is_named():
    with pytest.raises(UserError) as error:
        reconstruct(np.zeros((1, 20, 7), np.complex64), 8)
    assert str(error.value) == (
        "k-space has 20 rows and 7 columns; to be cropped to 8x8 pixels it needs 8 or "
        "more of each. Check the files."
    )
