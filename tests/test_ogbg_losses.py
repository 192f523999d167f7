"""Label loss and mean average precision, against their definitions."""

import math

import jax
import numpy as np
import pytest
from plain_graphs import echo

from workloads.ogbg.losses import GRAPH_LABELS, label_cross_entropy
from workloads.ogbg.mean_average_precision import (
    average_precision,
    mean_average_precision,
)

RANDOM = np.random.default_rng(23)
LOGITS = RANDOM.normal(scale=3, size=(6, 4)).astype(np.float32)
LABELS = RANDOM.integers(2, size=(6, 4)).astype(np.float32)
KNOWN = RANDOM.random((6, 4)) < 0.6
WITH_MISSING = np.where(KNOWN, LABELS, np.nan).astype(np.float32)


def by_hand(labels, logits, label_smoothing=0.0):
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    y = (1 - label_smoothing) * labels + label_smoothing / labels.shape[1]
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_the_loss_is_the_one_computed_by_hand(label_smoothing):
    expected = by_hand(LABELS, LOGITS, label_smoothing)
    loss = jax.jit(label_cross_entropy)(LABELS, LOGITS, None, label_smoothing)
    np.testing.assert_allclose(loss["per_example"], expected, rtol=1e-5)
    assert loss["n_valid_examples"] == 24


@pytest.mark.parametrize("mask", [None, KNOWN.astype(np.float32)])
def test_missing_labels_count_for_nothing(mask):
    labels = WITH_MISSING if mask is None else np.nan_to_num(WITH_MISSING)
    loss = label_cross_entropy(labels, LOGITS, mask)
    expected = np.where(KNOWN, by_hand(LABELS, LOGITS), 0.0)
    np.testing.assert_allclose(loss["per_example"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss["summed"], expected.sum(), rtol=1e-5)
    assert loss["n_valid_examples"] == KNOWN.sum()


def test_nan_in_padding_reaches_no_gradient():
    logits = np.where(KNOWN, LOGITS, np.nan)
    mask = KNOWN.astype(np.float32)
    gradient = jax.grad(lambda z: label_cross_entropy(WITH_MISSING, z, mask)["summed"])
    expected = np.where(KNOWN, 1 / (1 + np.exp(-LOGITS)) - LABELS, 0.0)
    np.testing.assert_allclose(gradient(logits), expected, atol=1e-5)


@pytest.mark.parametrize("logit", [1e4, -1e4, 0.0])
def test_large_logits_have_finite_losses_and_gradients(logit):
    logits, labels = np.full((1, 2), logit, np.float32), np.array([[0.0, 1.0]])
    loss, gradient = jax.value_and_grad(
        lambda z: label_cross_entropy(labels, z)["summed"]
    )(logits)
    np.testing.assert_allclose(loss, max(abs(logit), 2 * math.log(2)))
    p = 0.5 * (1 + np.sign(logit))
    np.testing.assert_allclose(gradient, [[p, p - 1]])


def precision_by_pairs(scores, labels):
    """The definition, threshold by threshold and example by example."""
    thresholds, before, total = sorted(set(scores.tolist()), reverse=True), 0.0, 0.0
    for threshold in thresholds:
        chosen = [
            bool(y) for s, y in zip(scores, labels, strict=True) if s >= threshold
        ]
        recall = sum(chosen) / sum(labels)
        total += (recall - before) * sum(chosen) / len(chosen)
        before = recall
    return total


@pytest.mark.parametrize("levels", [2, 5, 40, 10_000])
def test_precision_is_exact_where_scores_are_tied(levels):
    random = np.random.default_rng(levels)
    scores = (random.integers(levels, size=200) / levels).astype(np.float32)
    labels = random.random(200) < 0.2
    expected = precision_by_pairs(scores, labels)
    np.testing.assert_allclose(average_precision(scores, labels), expected, rtol=1e-12)
    order = random.permutation(200)
    assert average_precision(scores[order], labels[order]) == average_precision(
        scores, labels
    )


def test_precision_is_what_scikit_learn_gives():
    # scikit-learn 1.9.1, average_precision_score.
    scores = np.array([0.9, 0.8, 0.8, 0.8, 0.5, 0.5, 0.2, 0.1, 1, 1, 0, 0], np.float32)
    labels = np.array([0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0], bool)
    np.testing.assert_allclose(average_precision(scores, labels), 0.5, rtol=1e-12)
    i = np.arange(300)
    scores = ((i * 7919 % 101) / 101).astype(np.float32)
    labels = i * 104_729 % 17 < 4
    np.testing.assert_allclose(
        average_precision(scores, labels), 0.22420827418411204, rtol=1e-12
    )


def test_scores_are_compared_as_float32():
    # Of logits 18 and 20 the sigmoids are different numbers, but not in float32.
    scores = 1 / (1 + np.exp(-np.array([18.0, 20.0, 0.0])))
    assert scores[0] < scores[1]
    labels = np.array([True, False, False])
    assert average_precision(scores, labels) == 0.5


def test_tasks_of_one_kind_are_left_out_but_padding_is_another_kind():
    scores = np.array([[0.9, 0.2, 0.3, 0.5], [0.1, 0.8, 0.6, 0.5]], np.float32)
    labels = np.array([[0, 0, 1, 1], [1, 0, 1, 0]], bool)
    valid = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    # Task 0: found second of two. 1: no positive. 2: positives alone. 3: the positive
    # is missing.
    assert mean_average_precision(scores, labels, valid) == 0.5
    # The mean of 0.5 and, for task 2, 1.
    padded = [np.pad(array, ((0, 1), (0, 0))) for array in (scores, labels, valid)]
    assert mean_average_precision(*padded) == 0.75


def test_padding_and_missing_labels_change_nothing():
    random = np.random.default_rng(3)
    scores = random.random((50, 6)).astype(np.float32)
    labels, valid = random.random((50, 6)) < 0.3, random.random((50, 6)) < 0.7
    alone = mean_average_precision(scores, labels, valid)
    more = [np.concatenate([part, part]) for part in (scores, labels, valid)]
    more[2][50:] = False
    more[0][50:] = np.nan
    assert mean_average_precision(*more) == alone
    order = random.permutation(100)
    assert mean_average_precision(*(part[order] for part in more)) == alone


def test_no_task_at_all_and_scores_that_are_nan_give_nan():
    scores, labels = np.full((3, 2), 0.5, np.float32), np.zeros((3, 2), bool)
    valid = np.ones((3, 2), bool)
    assert math.isnan(mean_average_precision(scores, labels, valid))
    assert math.isnan(mean_average_precision(scores, ~labels, ~valid))
    scores[1, 1], valid[0] = np.nan, False
    assert math.isnan(mean_average_precision(scores, ~labels, valid))


def test_logits_in_place_of_scores_are_named():
    with pytest.raises(ValueError, match="scores must be") as error:
        average_precision(np.array([-1.5, 2.0]), np.array([True, False]))
    assert str(error.value) == (
        "scores must be in [0, 1], and are from -1.5 to 2.0: give probabilities, not "
        "logits"
    )


def test_metrics_of_batches_are_those_of_all_their_labels():
    workload = echo(label_cross_entropy, GRAPH_LABELS)
    parts = []
    for rows in (slice(0, 4), slice(4, 6)):
        batch = {
            "inputs": LOGITS[rows],
            "targets": np.nan_to_num(WITH_MISSING[rows]),
            "weights": KNOWN[rows].astype(np.float32),
        }
        part = workload.measure({}, None, batch, jax.random.PRNGKey(0))
        parts.append(jax.device_get(part))
    values = GRAPH_LABELS.summarize(parts)
    assert set(values) == {"accuracy", "loss", "mean_average_precision"}
    losses = by_hand(LABELS, LOGITS)
    np.testing.assert_allclose(values["loss"], losses[KNOWN].mean(), rtol=1e-5)
    right = (LOGITS > 0) == LABELS
    np.testing.assert_allclose(values["accuracy"], right[KNOWN].mean(), rtol=1e-6)
    expected = [
        precision_by_pairs(LOGITS[known, task], LABELS[known, task])
        for task, known in enumerate(KNOWN.T)
        if LABELS[known, task].any()
    ]
    np.testing.assert_allclose(
        values["mean_average_precision"], np.mean(expected), rtol=1e-6
    )
