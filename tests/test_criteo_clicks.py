"""Generated clicks: what is planted in them, and that they stay the same."""

import numpy as np
import pytest

from workloads.criteo import clicks

STREAMS = (("train", 1), ("validation", 2), ("test", 3))


def entropy(p: float) -> float:
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def test_what_is_planted_says_much_about_a_click():
    rows, logits = clicks.draw(20_000, 2)
    labels = rows[:, 0]
    loss = np.mean(np.logaddexp(0, logits) - labels * logits)
    assert 0.1 < labels.mean() < 0.4
    assert loss < 0.75 * entropy(labels.mean())
    # The logits are honest: of clicks said to have probability p, p are clicks.
    said = 1 / (1 + np.exp(-logits))
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        chosen = (said >= low) & (said < low + 0.2)
        error = said[chosen].mean() - labels[chosen].mean()
        assert abs(error) < 4 * 0.5 / np.sqrt(chosen.sum())


def test_logits_are_weights_pairs_and_bends_by_their_definition():
    model = clicks.planted()
    random = np.random.default_rng(0)
    categories = random.integers(0, len(model.ids), (5, 26))
    counts = random.integers(0, 400, (5, 13)).astype(np.uint32)
    found = clicks._logits(model, counts, categories)
    for logit, own, numbers in zip(found, counts, categories, strict=True):
        vectors = model.vectors[numbers].astype(np.float64)
        expected = -1.5 + model.weights[numbers].astype(np.float64).sum()
        expected += sum(vectors[i] @ vectors[j] for i in range(26) for j in range(i))
        for count, slope, bend in zip(own, model.slopes, model.bends, strict=True):
            distance = np.log(float(count) + 1) - 3
            expected += slope * distance + bend * (abs(distance) - 1.5)
        assert logit == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_without_inner_products_much_is_left():
    """A model has to multiply to get near what can be known."""
    model = clicks.planted()
    _, logits = clicks.draw(5_000, 2)
    lonely = model._replace(vectors=np.zeros_like(model.vectors))
    bits = clicks._bits(2)
    _, simple = clicks._clicks(lonely, bits, 5_000)
    said = 1 / (1 + np.exp(-logits))
    ideal = np.mean(np.logaddexp(0, logits) - said * logits)
    assert np.mean(np.logaddexp(0, simple) - said * simple) > ideal + 0.05


def test_clicks_are_always_the_same_and_splits_differ():
    clicks._split.cache_clear()
    examples = {"train": 300, "eval_train": 9, "validation": 200, "test": 200}
    first = clicks.clicks(examples)
    again = {split: clicks.draw(len(first[split]["rows"]), n) for split, n in STREAMS}
    for split, (rows, _) in again.items():
        np.testing.assert_array_equal(first[split]["rows"], rows)
        assert not first[split]["rows"].flags.writeable
    assert not np.array_equal(first["validation"]["rows"], first["test"]["rows"])


def test_common_categories_are_most_of_what_there_is():
    rows, _ = clicks.draw(20_000, 1)
    for column in (0, 9, 20):
        _, counts = np.unique(rows[:, 14 + column], return_counts=True)
        shares = np.sort(counts)[::-1] / len(rows)
        # Zipf over 100: the first has 1 / (1 + 1/2 + ... + 1/100) = 0.193.
        assert shares[0] == pytest.approx(0.193, abs=0.012)
        assert shares[1] == pytest.approx(0.096, abs=0.01)
