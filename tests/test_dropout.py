"""Dropout: the rate may be traced, and the ends 0 and 1 are exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.jax_utils import Dropout as PublicDropout
from algoperf.layers import Dropout

KEY = jax.random.PRNGKey(7)
ONES = np.ones((64, 128), np.float32)


def drop(inputs, rate, key=KEY, **fields):
    return Dropout(**fields).apply(
        {}, inputs, deterministic=False, rate=rate, rngs={"dropout": key}
    )


def test_submissions_find_the_same_class():
    assert PublicDropout is Dropout


def test_a_traced_rate_does_what_a_number_does_and_compiles_once():
    compiled = jax.jit(lambda rate: drop(ONES, rate))
    for rate in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(compiled(rate), drop(ONES, rate), rtol=1e-6)
    assert compiled._cache_size() == 1


def test_units_are_dropped_or_scaled():
    outputs = np.asarray(drop(3 * ONES, 0.25))
    kept = outputs != 0
    np.testing.assert_allclose(outputs[kept], 3 / 0.75, rtol=1e-6)
    assert 0.73 < kept.mean() < 0.77


@pytest.mark.parametrize("traced", [False, True])
def test_rate_0_is_exactly_the_identity(traced):
    inputs = jax.random.normal(KEY, (64, 128))
    for seed in range(5):
        key = jax.random.PRNGKey(seed)
        rate = jnp.asarray(0.0) if traced else 0.0
        np.testing.assert_array_equal(drop(inputs, rate, key), inputs)


@pytest.mark.parametrize("value", [1.0, np.inf, np.nan])
def test_rate_1_gives_zeros(value):
    np.testing.assert_array_equal(drop(value * ONES, 1.0), 0.0)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_gradients_are_finite_at_every_rate(rate):
    @jax.jit
    def loss(inputs, rate):
        return jnp.sum(drop(inputs, rate) ** 2)

    by_inputs, by_rate = jax.grad(loss, argnums=(0, 1))(jnp.asarray(ONES), rate)
    assert np.all(np.isfinite(by_inputs))
    assert np.isfinite(by_rate)
    if rate == 1.0:
        np.testing.assert_array_equal(by_inputs, 0.0)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9])
def test_the_mean_is_preserved(rate):
    keys = jax.random.split(KEY, 64)
    outputs = jax.vmap(lambda key: drop(ONES, rate, key))(keys)
    spread = np.sqrt(rate / (1 - rate) / outputs.size)  # of the mean of all units
    assert abs(float(outputs.mean()) - 1.0) < 5 * spread


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.1])
def test_the_share_of_dropped_units_does_not_depend_on_the_precision(rate):
    keys = jax.random.split(KEY, 64)
    inputs = jnp.ones((64, 128), jnp.bfloat16)
    outputs = jax.vmap(lambda key: drop(inputs, rate, key))(keys)
    assert outputs.dtype == jnp.bfloat16
    dropped = float(np.mean(np.asarray(outputs, np.float32) == 0))
    spread = np.sqrt(rate * (1 - rate) / outputs.size)
    assert abs(dropped - rate) < 5 * spread


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (-1,), (-2, -1)])
def test_broadcast_dims_share_their_mask(axes):
    outputs = np.asarray(
        drop(np.ones((8, 9, 10), np.float32), 0.5, broadcast_dims=axes)
    )
    first = tuple(
        slice(0, 1) if axis in axes or axis - 3 in axes else slice(None)
        for axis in range(3)
    )
    np.testing.assert_array_equal(outputs, np.broadcast_to(outputs[first], (8, 9, 10)))
    assert 0 < np.mean(outputs == 0) < 1


def test_without_broadcast_dims_every_unit_has_its_own_mask():
    outputs = np.asarray(drop(np.ones((64, 64), np.float32), 0.5))
    assert len(np.unique(outputs, axis=0)) == len(np.unique(outputs, axis=1)) == 64


@pytest.mark.parametrize("rate", [None, 0.5, 1.0])
def test_deterministic_is_the_identity_and_needs_neither_key_nor_rate(rate):
    outputs = Dropout().apply({}, ONES, deterministic=True, rate=rate)
    np.testing.assert_array_equal(outputs, ONES)


def test_the_key_decides_the_mask():
    np.testing.assert_array_equal(drop(ONES, 0.5), drop(ONES, 0.5))
    assert np.any(drop(ONES, 0.5) != drop(ONES, 0.5, jax.random.PRNGKey(8)))


def test_rate_and_mode_may_be_given_to_the_constructor():
    layer = Dropout(rate=0.5, deterministic=False)
    outputs = layer.apply({}, ONES, rngs={"dropout": KEY})
    np.testing.assert_array_equal(outputs, drop(ONES, 0.5))


@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_the_rate_of_the_call_wins(rate):
    layer = Dropout(rate=0.9, deterministic=False)
    outputs = layer.apply({}, ONES, rate=rate, rngs={"dropout": KEY})
    np.testing.assert_array_equal(outputs, drop(ONES, rate))


def test_a_key_may_be_given_to_the_call():
    layer = Dropout(rate=0.5)
    outputs = [layer.apply({}, ONES, deterministic=False, rng=KEY) for _ in range(2)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.any(outputs[0] == 0)


def test_keys_may_come_from_another_collection():
    layer = Dropout(rate=0.5, deterministic=False, rng_collection="noise")
    assert np.any(layer.apply({}, ONES, rngs={"noise": KEY}) == 0)


def test_without_a_rate_there_is_an_error():
    with pytest.raises(ValueError, match="Dropout has no rate"):
        drop(ONES, None)


@pytest.mark.parametrize("twice", [None, False])
def test_the_mode_is_given_once(twice):
    layer = Dropout(rate=0.5, deterministic=twice)
    with pytest.raises(ValueError, match="deterministic"):
        layer.apply({}, ONES, deterministic=twice, rngs={"dropout": KEY})
