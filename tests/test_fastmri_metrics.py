"""Similarity and loss of fastMRI's images, against other sources."""

import jax
import numpy as np
import pytest
import skimage.metrics
from plain_graphs import echo

from workloads.fastmri.reconstruction import RECONSTRUCTION, mean_absolute_error
from workloads.fastmri.ssim import structural_similarity

RANDOM = np.random.default_rng(11)


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
    workload = echo(mean_absolute_error, RECONSTRUCTION)
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
