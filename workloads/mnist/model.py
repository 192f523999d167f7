"""AlgoPerf's MNIST net."""

import jax
from flax import linen as nn


class MnistNet(nn.Module):
    """784 -> 128 sigmoid units -> 10; 101,770 parameters."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits [batch, class] of images [batch, 28, 28, 1]."""
        x = images.reshape(len(images), -1)
        x = nn.sigmoid(nn.Dense(128)(x))
        return nn.Dense(10)(x)
