"""A strided convolution that CPUs differentiate fast."""

from typing import Any

import jax
import jax.numpy as jnp


def strided_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: Any,
    **options: Any,
) -> jax.Array:
    """`jax.lax.conv_general_dilated` as Flax's `Conv` calls it, without dilation.

    On CPUs it is a matrix product of patches, which take memory for every number of
    the kernel. XLA's gradient of a strided convolution is one with zeros between the
    numbers there, and multiplies all of them: benchmarks/speech.py times both.

    Args:
      x: [batch, height, width, channel].
      kernel: [height, width, channel, feature].
      padding: "SAME", "VALID", or the zeros before and after each dimension.
    """

    def by_xla(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)

    def by_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
        patches = _patches(x, kernel.shape[:2], strides, padding)
        weights = kernel.reshape(-1, kernel.shape[-1])
        return jnp.matmul(patches, weights, precision=options.get("precision"))

    return jax.lax.platform_dependent(x, kernel, cpu=by_product, default=by_xla)


def _patches(
    x: jax.Array, sizes: tuple[int, ...], strides: tuple[int, int], padding: Any
) -> jax.Array:
    """[batch, height, width, all numbers that a kernel of `sizes` meets there]."""
    batch, *places, channels = x.shape
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(places, sizes, strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    last = [
        (n - size) // stride * stride
        for n, size, stride in zip(x.shape[1:3], sizes, strides, strict=True)
    ]
    return jnp.concatenate(
        [
            jax.lax.slice(
                x,
                (0, i, j, 0),
                (batch, i + last[0] + 1, j + last[1] + 1, channels),
                (1, *strides, 1),
            )
            for i in range(sizes[0])
            for j in range(sizes[1])
        ],
        axis=-1,
    )
