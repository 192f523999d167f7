"""What is computed otherwise on CPUs equals what it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.jax_sharding_utils import shard_along_batch_dim
from workloads.few_at_a_time import few_at_a_time
from workloads.librispeech.strided_conv import strided_conv

NUMBERS = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 0), (1, 3))])
@pytest.mark.parametrize("places", [(8, 9), (7, 6), (5, 12)])
@pytest.mark.parametrize("strides", [(2, 2), (1, 3)])
def test_a_strided_convolution_and_its_gradients(padding, places, strides):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, *places, 3)).astype(np.float32)
    kernel = random.normal(size=(3, 4, 3, 5)).astype(np.float32)

    def compared(conv):
        def total(x, kernel):
            y = conv(x, kernel, strides, padding, dimension_numbers=NUMBERS)
            return jnp.sum(jnp.sin(y)), y

        (_, y), gradients = jax.jit(
            jax.value_and_grad(total, argnums=(0, 1), has_aux=True)
        )(x, kernel)
        return y, *gradients

    for ours, wanted in zip(
        compared(strided_conv), compared(jax.lax.conv_general_dilated), strict=True
    ):
        assert ours.shape == wanted.shape
        np.testing.assert_allclose(ours, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_a_few_at_a_time_is_all_at_once(count):
    def plain(x, y):
        """Doc."""
        return {"sum": x.sum(axis=1) + y, "square": x * x}

    x = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    y = np.ones(count, np.float32)
    few = few_at_a_time(plain)
    assert few.__doc__ == "Doc."
    wanted = plain(x, y)
    for found in (few(x, y), jax.jit(few)(x, y)):
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value)


def test_a_few_at_a_time_of_a_batch_on_several_devices():
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = jax.jit(few_at_a_time(lambda x: x.sum(axis=1)))(shard_along_batch_dim(x))
    np.testing.assert_array_equal(found, x.sum(axis=1))
