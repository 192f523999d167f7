"""State bytes are those that NumPy counts in the same arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from algoperf.optimizers import state_bytes, state_bytes_per_parameter

PARAMS = {"kernel": jnp.zeros((8, 16)), "nested": {"bias": jnp.zeros(16)}}


def test_adam_has_two_moments_and_a_count():
    state = optax.adam(0.1).init(PARAMS)
    assert state_bytes(state) == 2 * 4 * (8 * 16 + 16) + 4
    assert state_bytes_per_parameter(state, PARAMS) == pytest.approx(8 + 4 / 144)


def test_every_dtype_counts_its_own_bytes():
    state = [np.zeros((3, 5), np.int8), jnp.zeros(7, jnp.bfloat16), np.float32(1)]
    assert state_bytes(state) == 15 + 14 + 4


def test_what_is_no_array_counts_nothing():
    assert state_bytes((None, 3, 1.5, print, optax.EmptyState(), "text")) == 0
    assert state_bytes_per_parameter((), {}) == 0.0


def test_random_keys_count_their_bits():
    assert state_bytes(jax.random.key(0)) == 8


def test_shapes_count_like_arrays():
    optimizer = optax.adam(0.1)
    shapes = jax.eval_shape(optimizer.init, PARAMS)
    assert state_bytes(shapes) == state_bytes(optimizer.init(PARAMS))


def test_replicas_are_counted_once():
    mesh = Mesh(jax.devices()[:2], ("batch",))
    state = jax.device_put(PARAMS, NamedSharding(mesh, PartitionSpec()))
    assert state_bytes(state) == 4 * 144
