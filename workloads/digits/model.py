"""A small multilayer perceptron for 8x8 images."""

import jax
from flax import linen as nn

from algoperf.layers import Dropout


class DigitsNet(nn.Module):
    """Two hidden layers of 128 units; 26,122 parameters."""

    hidden: tuple[int, ...] = (128, 128)
    num_classes: int = 10

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False, dropout_rate: float = 0.0
    ) -> jax.Array:
        """Logits [batch, class] of images [batch, 8, 8, 1]."""
        x = images.reshape(len(images), -1)
        for i, features in enumerate(self.hidden):
            x = nn.relu(nn.Dense(features, name=f"hidden_{i}")(x))
            x = Dropout()(x, rate=dropout_rate, deterministic=not train)
        return nn.Dense(self.num_classes, name="output")(x)
