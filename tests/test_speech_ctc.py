"""CTC: loss and gradient against a sum over all alignments; greedy decoding."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workloads.librispeech.ctc import ctc_loss, greedy_decode

RANDOM = np.random.default_rng(9)
FRAMES, PIECES, TOKENS = 5, 4, 3
LOGITS = RANDOM.normal(size=(6, FRAMES, PIECES)).astype(np.float32)
# Frames and tokens of each utterance: repeats, no tokens, one frame a token.
CASES = [(5, [1, 2, 3]), (5, [2, 2]), (4, [3]), (5, []), (3, [1, 2, 1]), (1, [2])]
FRAME_PADDINGS = np.float32([[t >= n for t in range(FRAMES)] for n, _ in CASES])
TOKEN_PADDINGS = np.float32([[i >= len(w) for i in range(TOKENS)] for _, w in CASES])
# Floats, as they come from AlgoPerf's pipeline; what stands in padding is any piece.
LABELS = np.float32([w + [3] * (TOKENS - len(w)) for _, w in CASES])


def collapsed(path) -> list[int]:
    pieces = [piece for piece, _ in itertools.groupby(path)]
    return [piece for piece in pieces if piece != 0]


def all_alignments(logits: np.ndarray, tokens: list[int]):
    """Loss of one utterance, and its gradient by the logits, path by path."""
    logits = logits.astype(np.float64)
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    total, visits = 0.0, np.zeros(probs.shape)
    for path in itertools.product(range(PIECES), repeat=len(probs)):
        if collapsed(path) == tokens:
            likelihood = math.prod(probs[t, piece] for t, piece in enumerate(path))
            total += likelihood
            visits[np.arange(len(probs)), path] += likelihood
    return -math.log(total), probs - visits / total


def loss_of(logits, mask=None, smoothing=0.0):
    labels = (LABELS, TOKEN_PADDINGS)
    return ctc_loss(labels, (logits, FRAME_PADDINGS), mask, smoothing)


def test_loss_and_gradient_are_those_of_all_alignments():
    loss = jax.jit(loss_of)(LOGITS)
    gradient = jax.jit(jax.grad(lambda logits: loss_of(logits)["summed"]))(LOGITS)
    for i, (frames, tokens) in enumerate(CASES):
        expected, by_logits = all_alignments(LOGITS[i, :frames], tokens)
        np.testing.assert_allclose(loss["per_example"][i], expected, rtol=1e-5)
        np.testing.assert_allclose(gradient[i, :frames], by_logits, atol=1e-5)
        assert np.all(gradient[i, frames:] == 0.0)
    np.testing.assert_allclose(loss["summed"], loss["per_example"].sum(), rtol=1e-6)
    assert loss["n_valid_examples"] == sum(len(tokens) for _, tokens in CASES) == 10


def test_label_smoothing_has_no_effect():
    loss = jax.jit(loss_of)(LOGITS, None, 0.3)
    np.testing.assert_array_equal(loss["summed"], jax.jit(loss_of)(LOGITS)["summed"])


def test_a_mask_leaves_out_whole_utterances():
    mask = np.float32([1, 0, 0, 1, 1, 0])
    logits = np.where(mask[:, None, None] > 0, LOGITS, np.nan)

    def summed(logits):
        loss = loss_of(logits, mask)
        return loss["summed"], loss

    gradient, loss = jax.jit(jax.grad(summed, has_aux=True))(logits)
    without = loss_of(LOGITS)["per_example"]
    np.testing.assert_allclose(loss["per_example"], without * mask, rtol=1e-6)
    assert loss["n_valid_examples"] == 3 + 0 + 3
    assert np.all(np.isfinite(gradient))
    assert np.all(np.asarray(gradient)[mask == 0] == 0.0)


def test_nothing_counts_as_one_token():
    loss = loss_of(LOGITS, np.zeros(6, np.float32))
    assert loss["summed"] == 0.0
    assert loss["n_valid_examples"] == 1.0


def test_only_padding_is_finite():
    padding = np.ones((6, FRAMES), np.float32)
    labels = (LABELS, np.ones_like(TOKEN_PADDINGS))

    def summed(logits):
        return ctc_loss(labels, (logits, padding))["summed"]

    value, gradient = jax.jit(jax.value_and_grad(summed))(LOGITS)
    assert value == 0.0
    assert np.all(gradient == 0.0)


def test_tokens_that_do_not_fit_cost_100_000():
    labels = (np.float32([[1, 2, 3]]), np.zeros((1, 3), np.float32))
    paddings = np.float32([[0, 0, 1, 1, 1]])
    loss = ctc_loss(labels, (LOGITS[:1], paddings))["summed"]
    assert float(loss) == pytest.approx(1e5, rel=1e-3)


def decoded(best, lengths):
    best = np.array(best)
    logits = jax.nn.one_hot(best, 5) + 0.1 * RANDOM.random((*best.shape, 5))
    paddings = np.float32(np.arange(best.shape[1])[None] >= np.array(lengths)[:, None])
    pieces, counts = jax.jit(greedy_decode)(logits, paddings)
    assert pieces.dtype == counts.dtype == jnp.int32
    return pieces.tolist(), counts.tolist()


def test_greedy_decoding_by_hand():
    best = [
        [0, 0, 0, 0, 0, 0],  # the first row stays empty
        [1, 1, 0, 1, 2, 2],  # a blank separates repeats
        [3, 3, 3, 4, 4, 4],  # only three frames are valid
        [0, 2, 0, 0, 3, 0],
        [4, 4, 4, 4, 4, 4],  # padding
    ]
    pieces, counts = decoded(best, [6, 6, 3, 6, 0])
    assert pieces == [
        [0] * 6,
        [1, 1, 2, 0, 0, 0],
        [3, 0, 0, 0, 0, 0],
        [2, 3, 0, 0, 0, 0],
        [0] * 6,
    ]
    assert counts == [0, 3, 1, 2, 0]


def test_greedy_decoding_is_that_of_plain_python():
    best = RANDOM.integers(0, 5, (30, 12)) * RANDOM.integers(0, 2, (30, 12))
    lengths = RANDOM.integers(0, 13, 30)
    pieces, counts = decoded(best, lengths)
    for i, length in enumerate(lengths):
        expected = collapsed(best[i, :length].tolist())
        assert pieces[i][: counts[i]] == expected
        assert counts[i] == len(expected)
        assert not any(pieces[i][counts[i] :])
