"""U-Net (Ronneberger et al. 2015) in the form fastMRI gave it (Zbontar et al. 2018)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.facts import UserError, chosen
from algoperf.layers import Dropout
from algoperf.spec import Batch
from algoperf.workload import ForwardOptions

_LEAK = 0.2
_INSTANCE_EPSILON = 1e-5
_PIXELS = (1, 2)  # axes of an image [batch, height, width, channel]


class ConvBlock(nn.Module):
    """Twice: 3x3 convolution, normalisation, activation, dropout of whole channels.

    Normalisation is over the pixels of one channel of one image, without parameters;
    with `layer_norm` over all of an image, with a scale and a bias per channel.
    """

    channels: int
    activation: Callable[[jax.Array], jax.Array]
    layer_norm: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        """[batch, height, width, any] to [batch, height, width, `channels`]."""
        for _ in range(2):
            x = nn.Conv(self.channels, (3, 3), use_bias=False)(x)
            if self.layer_norm:
                x = nn.LayerNorm(reduction_axes=(*_PIXELS, 3))(x)
            else:
                x = _instance_norm(x)
            x = self.activation(x)
            drop = Dropout(broadcast_dims=_PIXELS)
            x = drop(x, rate=dropout_rate, deterministic=not train)
        return x


class TransposeConvBlock(nn.Module):
    """2x2 transposed convolution, instance normalisation, activation."""

    channels: int
    activation: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, height, width, any] to twice the size and `channels`."""
        x = nn.ConvTranspose(self.channels, (2, 2), (2, 2), use_bias=False)(x)
        return self.activation(_instance_norm(x))


class UNet(nn.Module):
    """An image to an image of the same size; 7,756,097 parameters as it stands.

    `num_pool_layers` times the size is halved and the channels, `num_channels` in the
    first block, double; then back up, with what was there on the way down. Variants:
    `activation` ("leaky_relu", with slope 0.2, or "tanh") and `layer_norm`, which
    replaces the instance normalisation of all blocks but the transposed convolutions.
    """

    num_channels: int = 32
    num_pool_layers: int = 4
    activation: str = "leaky_relu"
    layer_norm: bool = False

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False, dropout_rate: Any = 0.0
    ) -> jax.Array:
        """[batch, height, width] to the same shape, of any size that can be halved.

        `dropout_rate` is for all blocks, may be traced, and only counts with `train`.

        Raises:
          UserError: `activation` is not one of those above, or the image is too small.
        """
        activation = chosen("UNet", "activation", self.activation, _ACTIVATIONS)
        self._check_size(images.shape)
        widths = [self.num_channels * 2**i for i in range(self.num_pool_layers)]
        x, skips = images[..., None], []
        for channels in widths:
            block = ConvBlock(channels, activation, self.layer_norm)
            x = block(x, train, dropout_rate)
            skips.append(x)
            x = nn.avg_pool(x, (2, 2), (2, 2))
        bottleneck = self.num_channels * 2**self.num_pool_layers
        block = ConvBlock(bottleneck, activation, self.layer_norm)
        x = block(x, train, dropout_rate)
        for channels, skip in zip(reversed(widths), reversed(skips), strict=True):
            x = TransposeConvBlock(channels, activation)(x)
            x = jnp.concatenate([_grow_to(x, skip), skip], axis=-1)
            block = ConvBlock(channels, activation, self.layer_norm)
            x = block(x, train, dropout_rate)
        return nn.Conv(1, (1, 1))(x)[..., 0]

    def _check_size(self, shape: tuple[int, ...]) -> None:
        smallest = 2**self.num_pool_layers
        _, height, width = shape
        if min(height, width) < smallest:
            raise UserError(
                f"UNet got images of {height}x{width} pixels; with num_pool_layers="
                f"{self.num_pool_layers} they must have {smallest} or more each way. "
                "Give larger images, or fewer layers in the workload's facts."
            )


def feed_unet(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Images [batch, height, width], and dropout as the options say."""
    return apply(
        batch["inputs"], train=options.train, dropout_rate=options.dropout_rate
    )


_ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "leaky_relu": lambda x: nn.leaky_relu(x, _LEAK),
    "tanh": nn.tanh,
}


def _instance_norm(x: jax.Array) -> jax.Array:
    norm = nn.InstanceNorm(epsilon=_INSTANCE_EPSILON, use_bias=False, use_scale=False)
    return norm(x)


def _grow_to(x: jax.Array, skip: jax.Array) -> jax.Array:
    """Repeats the last row or column but one where halving lost an odd one."""
    lost = [skip.shape[axis] - x.shape[axis] for axis in _PIXELS]
    if not any(lost):
        return x
    return jnp.pad(x, ((0, 0), *((0, n) for n in lost), (0, 0)), mode="reflect")
