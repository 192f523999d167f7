"""Masks, reconstruction, similarity and loss of fastMRI, against other sources."""

import jax
import numpy as np
import pytest
import skimage.metrics
from plain_graphs import dataless

from algoperf.facts import UserError
from workloads.fastmri.kspace import prepare_slices, reconstruct
from workloads.fastmri.masks import (
    EVAL_SEED,
    column_masks,
    philox_4x32,
    stateless_uniform,
)
from workloads.fastmri.reconstruction import RECONSTRUCTION, mean_absolute_error
from workloads.fastmri.ssim import structural_similarity

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


def similarity_by_windows(x, y, data_range):
    """Window by window, with NumPy's own covariance of a sample."""
    values = []
    for row in range(x.shape[0] - 6):
        for column in range(x.shape[1] - 6):
            a = x[row : row + 7, column : column + 7].ravel()
            b = y[row : row + 7, column : column + 7].ravel()
            (va, cov), (_, vb) = np.cov(a, b)
            c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
            ma, mb = a.mean(), b.mean()
            luminance = (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
            values.append(luminance * (2 * cov + c2) / (va + vb + c2))
    return np.mean(values)


def test_similarity_is_the_mean_over_all_windows():
    x = RANDOM.random((4, 17, 12))
    y = x + 0.3 * RANDOM.random((4, 17, 12))
    y[3] = 1.0 - x[3]
    ranges = np.array([1.0, 0.4, 0.0, 1.0])
    expected = [
        similarity_by_windows(a, b, r or 1.0)
        for a, b, r in zip(x, y, ranges, strict=True)
    ]
    ours = jax.jit(structural_similarity)(
        *(v.astype(np.float32) for v in (x, y, ranges))
    )
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert ours[3] < 0


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_similarity_is_the_one_of_scikit_image(scale):
    # fastMRI's pixels are about 1e-4.
    x = scale * RANDOM.random((5, 320, 320)).astype(np.float32)
    y = (0.7 * x + 0.3 * scale * RANDOM.random(x.shape)).astype(np.float32)
    ranges = x.max(axis=(1, 2))
    expected = [
        skimage.metrics.structural_similarity(
            *(image.astype(float) for image in pair),
            win_size=7,
            data_range=float(data_range),
            use_sample_covariance=True,
        )
        for *pair, data_range in zip(x, y, ranges, strict=True)
    ]
    ours = jax.jit(structural_similarity)(x, y, ranges)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_similarity_is_that_of_each_image_whatever_is_beside_it():
    x, y = RANDOM.random((2, 5, 30, 30)).astype(np.float32)
    together = structural_similarity(x, y, np.ones(5))
    alone = [
        structural_similarity(x[i : i + 1], y[i : i + 1], np.ones(1)) for i in range(5)
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-7)


def test_an_image_is_like_itself_and_blank_images_are_alike():
    x = RANDOM.random((1, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(structural_similarity(x, x, np.ones(1)), 1.0, atol=1e-6)
    blank, zero = np.zeros((1, 9, 9), np.float32), np.zeros(1, np.float32)
    np.testing.assert_allclose(structural_similarity(blank, blank, zero), 1.0)


def test_the_loss_is_the_mean_difference_of_real_images():
    labels, outputs = RANDOM.normal(size=(2, 4, 5, 5)).astype(np.float32)
    by_hand = np.abs(outputs - labels).reshape(4, 25).mean(axis=1)
    loss = mean_absolute_error(labels, outputs, label_smoothing=0.3)
    np.testing.assert_allclose(loss["per_example"], by_hand, rtol=1e-5)
    np.testing.assert_allclose(loss["summed"], by_hand.sum(), rtol=1e-5)
    assert loss["n_valid_examples"] == 4
    outputs[2] = np.nan
    mask = np.array([1, 1, 0, 1], np.float32)
    loss = mean_absolute_error(labels, outputs, mask)
    np.testing.assert_allclose(loss["summed"], by_hand[[0, 1, 3]].sum(), rtol=1e-5)
    assert loss["n_valid_examples"] == 3
    gradient = jax.grad(lambda z: mean_absolute_error(labels, z, mask)["summed"])
    assert np.all(np.isfinite(gradient(outputs)))


def test_metrics_are_of_real_images_as_they_were_before_normalisation():
    class Identity:
        """A model that gives back its input."""

        def apply(self, variables, inputs, **options):
            del variables, options
            return inputs, {}

    def feed(apply, batch, options):
        del options
        return apply(batch["inputs"])

    workload = dataless(Identity(), feed, {}, mean_absolute_error, RECONSTRUCTION)
    inputs, targets = RANDOM.normal(size=(2, 3, 9, 9)).astype(np.float32)
    batch = {
        "inputs": inputs,
        "targets": targets,
        "mean": np.array([1.0, 3.0, 0.0], np.float32),
        "std": np.array([2.0, 0.5, 0.0], np.float32),
        "volume_max": np.array([4.0, 5.0, 0.0], np.float32),
        "weights": np.array([1, 1, 0], np.float32),
    }
    inputs[2] = np.nan
    sums = workload.measure({}, None, batch, jax.random.PRNGKey(0))
    values = RECONSTRUCTION.summarize([jax.device_get(sums)])
    expected = np.mean(
        [
            similarity_by_windows(2 * inputs[0] + 1, 2 * targets[0] + 1, 4.0),
            similarity_by_windows(inputs[1] / 2 + 3, targets[1] / 2 + 3, 5.0),
        ]
    )
    np.testing.assert_allclose(values["ssim"], expected, atol=1e-5)
    expected = np.abs(inputs[:2] - targets[:2]).mean()
    np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)
