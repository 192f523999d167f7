"""Masked batch normalisation and layer normalisation, against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import plain_speech as speech
import plain_vision as plain
import pytest

from algoperf.jax_sharding_utils import replicate, shard_along_batch_dim
from workloads.librispeech.norms import BatchNorm, LayerNorm

KEY = jax.random.PRNGKey(0)
RANDOM = np.random.default_rng(8)
X = (2 + 3 * RANDOM.normal(size=(4, 9, 6))).astype(np.float32)
PADDINGS = speech.paddings_of([9, 4, 1, 0], 9)


def variables():
    shapes = jax.eval_shape(lambda: BatchNorm().init(KEY, X, PADDINGS, True))
    return plain.random_like(shapes)


@jax.jit
def of_batch(variables, x, paddings):
    return BatchNorm().apply(variables, x, paddings, False, mutable=["batch_stats"])


def test_statistics_are_those_of_the_valid_frames():
    given = variables()
    y, written = of_batch(given, X, PADDINGS)
    expected, (mean, var) = speech.batch_norm(given["params"], X, PADDINGS, None)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    for name, value in (("mean", mean), ("var", var)):
        before, after = given["batch_stats"][name], written["batch_stats"][name]
        assert after.shape == (6,)
        moved = 0.999 * before.astype(np.float64) + 0.001 * value
        np.testing.assert_allclose(after, moved, rtol=1e-6)
        assert np.all(np.abs(after - before) > 1e-5)


def test_running_averages_are_used_and_kept():
    given = variables()
    y, written = BatchNorm().apply(given, X, PADDINGS, True, mutable=["batch_stats"])
    expected, _ = speech.batch_norm(given["params"], X, PADDINGS, given["batch_stats"])
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    for name, value in written["batch_stats"].items():
        np.testing.assert_array_equal(value, given["batch_stats"][name])


def test_it_starts_as_a_plain_normalisation_that_saw_no_batch():
    start = BatchNorm().init(KEY, X, PADDINGS, False)
    assert {k: v.tolist() for k, v in start["params"].items()} == {
        "scale": [0.0] * 6,
        "bias": [0.0] * 6,
    }
    assert start["batch_stats"]["mean"].tolist() == [0.0] * 6
    assert start["batch_stats"]["var"].tolist() == [1.0] * 6
    y, _ = of_batch(start, X, PADDINGS)
    frames = np.asarray(y)[PADDINGS == 0]
    np.testing.assert_allclose(frames.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(frames.std(axis=0), 1.0, atol=1e-3)


def test_statistics_do_not_depend_on_how_examples_are_spread():
    # One device has long utterances, the other hardly a frame.
    given = variables()
    alone = of_batch(given, X, PADDINGS)
    x, paddings = shard_along_batch_dim((X, PADDINGS))
    assert len(x.sharding.device_set) == 2
    spread = of_batch(replicate(given), x, paddings)
    for ours, expected in zip(
        jax.tree.leaves(spread), jax.tree.leaves(alone), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_a_batch_of_padding_gives_zeros_and_moves_nothing():
    given, padding = variables(), np.ones((4, 9), np.float32)

    def total(params, x):
        y, written = of_batch(given | {"params": params}, x, padding)
        return jnp.sum(jnp.square(y + 1.0)), (y, written)

    grads, (y, written) = jax.grad(total, (0, 1), has_aux=True)(given["params"], X)
    assert np.all(y == 0.0)
    for leaf in jax.tree.leaves(grads):
        assert np.all(leaf == 0.0)
    for name, value in written["batch_stats"].items():
        np.testing.assert_array_equal(value, given["batch_stats"][name])


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_layer_norm_is_that_of_plain_numpy(scale):
    # Small numbers show the millionth that is added to the variance.
    x = scale * X
    params = plain.random_like(jax.eval_shape(lambda: LayerNorm().init(KEY, X)))
    expected = speech.layer_norm(params["params"], x.astype(np.float64))
    np.testing.assert_allclose(
        LayerNorm().apply(params, x), expected, rtol=1e-4, atol=1e-4
    )
    for leaf in jax.tree.leaves(LayerNorm().init(KEY, X)):
        assert leaf.tolist() == [0.0] * 6
