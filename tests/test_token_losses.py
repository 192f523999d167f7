"""Cross-entropy of tokens against optax, in value, gradient and memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algoperf.token_losses import token_cross_entropy

BATCH, LENGTH, VOCAB = 3, 5, 17


@pytest.fixture(params=[jnp.float32, jnp.bfloat16])
def logits(request) -> jax.Array:
    random = np.random.default_rng(0)
    values = 4 * random.standard_normal((BATCH, LENGTH, VOCAB))
    return jnp.asarray(values, request.param)


@pytest.fixture
def labels() -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).integers(VOCAB, size=(BATCH, LENGTH)))


def expected(labels, logits, smoothing=0.0):
    """Per token, from optax, in float32."""
    targets = optax.smooth_labels(jax.nn.one_hot(labels, VOCAB), smoothing)
    return optax.softmax_cross_entropy(logits.astype(jnp.float32), targets)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("traced", [False, True])
def test_values_and_gradients_are_those_of_optax(logits, labels, smoothing, traced):
    def ours(logits, smoothing):
        loss = token_cross_entropy(labels, logits, None, smoothing)
        return (loss["per_example"] ** 2).sum(), loss

    given = jnp.float32(smoothing) if traced else smoothing
    gradient, loss = jax.grad(ours, has_aux=True)(logits, given)
    wanted = expected(labels, logits, smoothing)
    np.testing.assert_allclose(loss["per_example"], wanted, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(loss["summed"], wanted.sum(), rtol=1e-6)
    assert loss["n_valid_examples"] == BATCH * LENGTH
    wide = logits.astype(jnp.float32)
    plain = jax.grad(lambda x: (expected(labels, x, smoothing) ** 2).sum())(wide)
    assert gradient.dtype == logits.dtype
    # Exact but for one rounding to the logits' type.
    rounding = 1e-5 if logits.dtype == jnp.float32 else 2**-8
    np.testing.assert_allclose(
        gradient.astype(jnp.float32), plain, rtol=rounding, atol=1e-6
    )


def test_the_gradient_by_the_smoothing_is_right(logits, labels):
    def ours(smoothing):
        return token_cross_entropy(labels, logits, None, smoothing)["summed"]

    def plain(smoothing):
        return expected(labels, logits, smoothing).sum()

    np.testing.assert_allclose(
        jax.grad(ours)(0.3), jax.grad(plain)(0.3), rtol=1e-5, atol=1e-5
    )


def test_masked_tokens_count_for_nothing_even_if_they_are_nan(logits, labels):
    mask = np.ones((BATCH, LENGTH), np.float32)
    mask[1, 2:] = mask[2] = 0
    broken = jnp.where(mask[..., None] > 0, logits, jnp.nan)

    def summed(logits):
        loss = token_cross_entropy(labels, logits, jnp.asarray(mask))
        return loss["summed"], loss

    gradient, loss = jax.grad(summed, has_aux=True)(broken)
    wanted = np.asarray(expected(labels, logits)) * mask
    np.testing.assert_allclose(loss["per_example"], wanted, rtol=2e-6, atol=2e-6)
    assert loss["n_valid_examples"] == mask.sum()
    assert np.all(np.asarray(gradient, np.float32)[mask == 0] == 0)
    assert np.all(np.isfinite(np.asarray(gradient, np.float32)))


def test_a_weight_per_row_is_one_of_all_its_tokens(logits, labels):
    rows = jnp.asarray([1.0, 0.0, 1.0])
    by_row = token_cross_entropy(labels, logits, rows)
    by_token = token_cross_entropy(
        labels, logits, jnp.broadcast_to(rows[:, None], labels.shape)
    )
    assert by_row["n_valid_examples"] == 2 * LENGTH
    jax.tree.map(np.testing.assert_array_equal, by_row, by_token)


def test_distributions_are_labels_too(logits, labels):
    one_hot = jax.nn.one_hot(labels, VOCAB)
    found = token_cross_entropy(one_hot, logits, None, 0.1)
    wanted = token_cross_entropy(labels, logits, None, 0.1)
    np.testing.assert_allclose(found["summed"], wanted["summed"], rtol=1e-6)


def test_huge_logits_neither_overflow_nor_lose_the_label():
    logits = jnp.asarray([[[1e4, 0.0, -1e4]]], jnp.bfloat16)
    loss = token_cross_entropy(jnp.asarray([[1]]), logits)
    np.testing.assert_allclose(loss["summed"], float(logits[0, 0, 0]))


def test_half_precision_logits_are_not_kept_in_float32():
    shape = (2, 64, 4096)
    labels = jnp.zeros(shape[:2], jnp.int32)
    logits = jnp.zeros(shape, jnp.bfloat16)
    wide_bytes = 4 * logits.size

    def extra_bytes(loss) -> int:
        program = jax.jit(jax.value_and_grad(loss)).lower(logits).compile()
        return program.memory_analysis().temp_size_in_bytes

    for smoothing in (0.0, 0.1):
        ours = extra_bytes(
            lambda x, s=smoothing: token_cross_entropy(labels, x, None, s)["summed"]
        )
        assert ours < wide_bytes / 8
    plain = extra_bytes(
        lambda x: optax.softmax_cross_entropy_with_integer_labels(
            x.astype(jnp.float32), labels
        ).sum()
    )
    assert plain >= wide_bytes
