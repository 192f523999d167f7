"""Cross-entropy is what NumPy computes by hand, and padding does not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.losses import masked, softmax_cross_entropy

CLASSES = 5
RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(scale=3.0, size=(8, CLASSES)).astype(np.float32)
LABELS = RANDOM.integers(CLASSES, size=8).astype(np.int32)
MASK = np.array([1, 1, 0, 1, 1, 1, 0, 0], np.float32)


def by_hand(labels, logits, label_smoothing=0.0):
    """-sum over classes of the smoothed target times the log of the softmax."""
    logits = np.asarray(logits, np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    target = np.full(logits.shape, label_smoothing / CLASSES)
    for index in np.ndindex(labels.shape):
        target[(*index, labels[index])] += 1 - label_smoothing
    return -(target * np.log(probabilities)).sum(axis=-1)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
def test_the_loss_is_the_one_computed_by_hand(label_smoothing):
    loss = softmax_cross_entropy(LABELS, LOGITS, label_smoothing=label_smoothing)
    expected = by_hand(LABELS, LOGITS, label_smoothing)
    np.testing.assert_allclose(loss["per_example"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss["summed"], expected.sum(), rtol=1e-5)
    assert loss["n_valid_examples"] == 8


def summed(logits, mask=None):
    return softmax_cross_entropy(LABELS, logits, mask)["summed"]


def test_label_smoothing_may_be_traced():
    loss = jax.jit(lambda rate: softmax_cross_entropy(LABELS, LOGITS, None, rate))
    for rate in (0.0, 0.1, 0.3):
        np.testing.assert_allclose(
            loss(rate)["per_example"], by_hand(LABELS, LOGITS, rate), rtol=1e-5
        )
    assert loss._cache_size() == 1


def test_the_loss_of_a_sequence_has_one_value_per_token():
    logits, labels = LOGITS.reshape(2, 4, CLASSES), LABELS.reshape(2, 4)
    loss = softmax_cross_entropy(labels, logits, MASK.reshape(2, 4))
    expected = by_hand(labels, logits) * MASK.reshape(2, 4)
    np.testing.assert_allclose(loss["per_example"], expected, rtol=1e-5)
    assert loss["n_valid_examples"] == MASK.sum()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_one_hot_labels_equal_integer_labels(label_smoothing, dtype):
    one_hot = np.eye(CLASSES, dtype=dtype)[LABELS]
    mine = softmax_cross_entropy(one_hot, LOGITS, MASK, label_smoothing)
    theirs = softmax_cross_entropy(LABELS, LOGITS, MASK, label_smoothing)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), mine, theirs)


def test_labels_may_be_distributions():
    halves = np.full((1, 2), 0.5, np.float32)
    loss = softmax_cross_entropy(halves, np.array([[0.0, 2.0]], np.float32))
    expected = np.log(1 + np.exp(2)) - 1  # log-sum-exp minus the mean of the logits
    np.testing.assert_allclose(loss["summed"], expected, rtol=1e-6)


def test_masked_examples_do_not_count():
    loss = softmax_cross_entropy(LABELS, LOGITS, MASK)
    expected = np.where(MASK == 1, by_hand(LABELS, LOGITS), 0.0)
    np.testing.assert_allclose(loss["per_example"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss["summed"], expected.sum(), rtol=1e-5)
    assert loss["n_valid_examples"] == 5


def test_padding_does_not_change_the_loss():
    padded_logits = np.concatenate([LOGITS, np.zeros((3, CLASSES), np.float32)])
    padded_labels = np.concatenate([LABELS, np.zeros(3, np.int32)])
    mask = np.concatenate([np.ones(8), np.zeros(3)]).astype(np.float32)
    padded = softmax_cross_entropy(padded_labels, padded_logits, mask)
    plain = softmax_cross_entropy(LABELS, LOGITS)
    np.testing.assert_allclose(padded["summed"], plain["summed"], rtol=1e-6)
    assert padded["n_valid_examples"] == plain["n_valid_examples"]


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf])
def test_nan_in_padding_does_not_leak(garbage):
    dirty = np.where(MASK[:, None] == 1, LOGITS, np.float32(garbage))
    loss = softmax_cross_entropy(LABELS, dirty, MASK)
    clean = softmax_cross_entropy(LABELS, LOGITS, MASK)
    jax.tree.map(np.testing.assert_array_equal, loss, clean)


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_padding_has_no_gradient_even_where_it_is_nan(garbage):
    dirty = np.where(MASK[:, None] == 1, LOGITS, np.float32(garbage))
    grad, clean = jax.grad(summed)(dirty, MASK), jax.grad(summed)(LOGITS, MASK)
    np.testing.assert_array_equal(clean[MASK == 0], 0.0)
    np.testing.assert_array_equal(grad, clean)


def test_the_gradient_is_softmax_minus_target():
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = probabilities - np.eye(CLASSES)[LABELS]
    np.testing.assert_allclose(jax.grad(summed)(LOGITS), expected, atol=1e-6)


@pytest.mark.parametrize("mask", [None, MASK])
def test_the_loss_of_a_batch_is_the_sum_of_its_halves(mask):
    whole = softmax_cross_entropy(LABELS, LOGITS, mask)
    halves = [
        softmax_cross_entropy(
            LABELS[rows], LOGITS[rows], None if mask is None else mask[rows]
        )
        for rows in (slice(None, 4), slice(4, None))
    ]
    for name in ("summed", "n_valid_examples"):
        total = sum(half[name] for half in halves)
        np.testing.assert_allclose(whole[name], total, rtol=1e-6)


@pytest.mark.parametrize("mask", [None, MASK])
def test_a_loss_has_algoperfs_keys_and_is_float32(mask):
    loss = softmax_cross_entropy(LABELS, LOGITS, mask)
    shapes = {name: value.shape for name, value in loss.items()}
    assert shapes == {"summed": (), "n_valid_examples": (), "per_example": (8,)}
    assert {value.dtype for value in loss.values()} == {jnp.dtype("float32")}


def test_large_logits_do_not_overflow():
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], np.float32)
    loss = softmax_cross_entropy(np.array([0, 0]), logits)
    np.testing.assert_array_equal(loss["per_example"], [0.0, 1e4])


def test_a_mask_weighs_losses():
    loss = masked(jnp.array([1.0, 2.0, 4.0]), jnp.array([0.5, 1.0, 0.0]))
    assert (loss["summed"], loss["n_valid_examples"]) == (2.5, 1.5)
