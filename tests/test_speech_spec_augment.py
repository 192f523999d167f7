"""SpecAugment: masks by hand and against plain Python, its keys, what it may reach."""

import jax
import jax.numpy as jnp
import numpy as np
import plain_speech as speech
import pytest
from flax import linen as nn

from workloads.librispeech.spec_augment import (
    SpecAugment,
    frequency_masks,
    stripes,
    time_masks,
)

KEY = jax.random.PRNGKey(4)
LENGTHS = (300, 120, 15, 1, 0)


class FourKeys(nn.Module):
    """The keys that a module gets when it asks for four."""

    @nn.compact
    def __call__(self):
        return [self.make_rng("dropout") for _ in range(4)]


def augment(model: SpecAugment, features, paddings, key=KEY):
    return model.apply({}, features, paddings, rngs={"dropout": key})


def test_time_masks_by_hand():
    # 5 % of 300 frames is 15; of 15 it is 0, but a mask may still be 0 frames long.
    u = np.array([[0.0, 0.5, 0.999], [0.999, 0.0, 0.5]], np.float32)
    v = np.array([[0.0, 0.5, 0.999], [0.999, 0.0, 0.5]], np.float32)
    starts, lengths = time_masks(u, v, np.array([300, 15]))
    assert lengths.tolist() == [[0, 7, 14], [0, 0, 0]]
    assert starts.tolist() == [[0, 147, 286], [15, 0, 8]]


def test_frequency_masks_by_hand():
    u, v = np.array([[0.0, 0.5, 0.999]]), np.array([[0.999, 0.5, 0.999]])
    starts, lengths = frequency_masks(u, v, 80)
    assert lengths.tolist() == [[0, 13, 26]]
    assert starts.tolist() == [[80, 34, 54]]
    assert frequency_masks(np.ones((1, 1)) * 0.999, np.zeros((1, 1)), 4)[1] == 4


def test_stripes_by_hand():
    covered = stripes(np.array([[1, 4], [0, 0]]), np.array([[2, 3], [0, 0]]), 8)
    assert covered.astype(int).tolist() == [[0, 1, 1, 0, 1, 1, 1, 0], [0] * 8]


@pytest.mark.parametrize("counts", [(10, 2), (15, 4), (0, 0), (3, 0)])
def test_stripes_are_those_of_plain_python(counts):
    time_count, freq_count = counts
    paddings = speech.paddings_of(LENGTHS, 300)
    features = np.random.default_rng(1).normal(size=(5, 300, 80)).astype(np.float32)
    ours = augment(SpecAugment(time_count, freq_count), features, paddings)
    keys = FourKeys().apply({}, rngs={"dropout": KEY})
    shapes = 2 * [(5, time_count)] + 2 * [(5, freq_count)]
    draws = [
        np.asarray(jax.random.uniform(key, shape))
        for key, shape in zip(keys, shapes, strict=True)
    ]
    expected = features.copy()
    for i, valid in enumerate(LENGTHS):
        longest = np.float32(valid) * np.float32(0.05)
        for u, v in zip(draws[0][i], draws[1][i], strict=True):
            length = min(int(u * longest), max(int(longest), 1))
            start = int(v * np.float32(valid - length + 1))
            expected[i, start : start + length] = 0.0
        for u, v in zip(draws[2][i], draws[3][i], strict=True):
            length = int(u * np.float32(27))
            start = int(v * np.float32(80 - length + 1))
            expected[i, :, start : start + length] = 0.0
    np.testing.assert_array_equal(ours, expected)
    assert (time_count == 0) == np.array_equal(ours, features)


def test_masks_stay_within_valid_frames_and_bins_and_are_short():
    u, v = jax.random.uniform(KEY, (2, 5, 4000), maxval=jnp.float32(1.0))
    valid = np.array(LENGTHS)
    starts, lengths = (np.asarray(x) for x in time_masks(u, v, valid))
    assert np.all(starts >= 0)
    assert np.all(starts + lengths <= valid[:, None])
    # Half of 5 % of 300 on average: numbers from 0 to 14, all the same.
    assert lengths[0].max() == 14
    assert abs(lengths[0].mean() - 7) < 0.3
    starts, lengths = (np.asarray(x) for x in frequency_masks(u, v, 80))
    assert (lengths.min(), lengths.max()) == (0, 26)
    assert np.all(starts + lengths <= 80)


def test_keys_and_utterances_differ_and_nothing_is_compiled_again():
    paddings = np.zeros((2, 200), np.float32)
    features = np.ones((2, 200, 80), np.float32)
    masked = jax.jit(lambda key: augment(SpecAugment(), features, paddings, key))
    one, other = masked(KEY), masked(jax.random.PRNGKey(5))
    np.testing.assert_array_equal(masked(KEY), one)
    assert np.abs(one - other).max() == 1.0
    assert np.abs(one[0] - one[1]).max() == 1.0
    assert masked._cache_size() == 1


def test_nan_under_a_mask_is_masked_too():
    features = np.full((1, 400, 80), np.nan, np.float32)
    masked = augment(SpecAugment(40, 8), features, np.zeros((1, 400), np.float32))
    assert np.any(masked == 0.0)
