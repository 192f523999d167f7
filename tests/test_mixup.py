"""Normalisation and mixup against NumPy, and the weight against Beta's moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workloads.imagenet.mixup import mixup, mixup_weight, normalise


def test_normalise_uses_the_published_constants():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    mean = np.array([0.485, 0.456, 0.406])
    stddev = np.array([0.229, 0.224, 0.225])
    result = jax.jit(normalise)(images)
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(
        result, (images / 255 - mean) / stddev, rtol=1e-5, atol=1e-6
    )


def test_normalise_takes_other_constants():
    images = np.full((1, 1, 1, 3), 10, np.uint8)
    result = normalise(images, (4.0, 10.0, 20.0), (2.0, 1.0, 5.0))
    np.testing.assert_array_equal(result[0, 0, 0], [3, 0, -2])


def test_each_example_is_mixed_with_the_one_before_it():
    inputs = np.random.default_rng(1).normal(size=(4, 3, 2)).astype(np.float32)
    labels = np.array([2, 0, 2, 4])
    key = jax.random.key(5)
    mixed, targets = jax.jit(mixup, static_argnames="num_classes")(
        inputs, labels, key, num_classes=5
    )
    weight = float(mixup_weight(key))
    assert 0.01 < weight < 0.99  # this key tells both sides apart
    onehot = np.eye(5)[labels]
    before = [3, 0, 1, 2]
    np.testing.assert_allclose(
        mixed, weight * inputs + (1 - weight) * inputs[before], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        targets, weight * onehot + (1 - weight) * onehot[before], rtol=1e-5, atol=1e-6
    )
    assert mixed.dtype == targets.dtype == jnp.float32
    assert targets.shape == (4, 5)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)


def test_a_single_example_is_left_alone():
    inputs = jnp.arange(6.0).reshape(1, 6)
    mixed, targets = mixup(inputs, jnp.array([3]), jax.random.key(0))
    np.testing.assert_allclose(mixed, inputs, rtol=1e-6)
    assert targets.shape == (1, 1000)
    assert targets[0, 3] == pytest.approx(1)


def test_the_key_alone_decides_the_weight():
    keys = [jax.random.fold_in(jax.random.key(0), i) for i in (0, 0, 1)]
    same, again, other = (float(mixup_weight(key)) for key in keys)
    assert same == again != other


def test_the_weight_has_the_moments_of_beta():
    """Of Beta(a, a): mean 1/2, variance 1/(4(2a + 1)); many values near 0 and 1."""
    keys = jax.random.split(jax.random.key(3), 40_000)
    weights = np.asarray(jax.jit(jax.vmap(mixup_weight))(keys), np.float64)
    assert np.isfinite(weights).all()
    assert ((weights >= 0) & (weights <= 1)).all()
    variance = 1 / (4 * 1.4)
    error = np.sqrt(variance / len(weights))
    assert abs(weights.mean() - 0.5) < 4 * error
    assert weights.var() == pytest.approx(variance, rel=0.02)
    # The fourth central moment: 3 / (16 (2a + 1) (2a + 3)).
    fourth = 3 / (16 * 1.4 * 3.4)
    assert ((weights - 0.5) ** 4).mean() == pytest.approx(fourth, rel=0.02)
    # SciPy 1.17: beta(0.2, 0.2).cdf([0.001, 0.1]) = 0.132201, 0.336690.
    assert (weights < 0.001).mean() == pytest.approx(0.132201, abs=0.007)
    assert (weights < 0.1).mean() == pytest.approx(0.336690, abs=0.01)


def test_a_tiny_alpha_gives_no_nan():
    keys = jax.random.split(jax.random.key(4), 1000)
    weights = jax.vmap(lambda key: mixup_weight(key, 1e-3))(keys)
    assert bool(jnp.isfinite(weights).all())
