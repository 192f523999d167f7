"""Vision Transformer (Dosovitskiy et al. 2021) in its simple form (Beyer et al. 2022).

"Simple" is: fixed sines and cosines for positions, and the mean of all tokens instead
of a class token.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from algoperf.facts import UserError
from algoperf.layers import Dropout
from algoperf.spec import Batch
from algoperf.workload import ForwardOptions

_LONGEST_WAVE = 10_000
_BIAS_STD = 1e-6


class MlpBlock(nn.Module):
    """Dense, GELU (tanh approximation), dropout, Dense back to the width.

    With `glu` the activated units are multiplied by a second Dense of themselves, not
    of the block's input as in the gated units of Shazeer (2020).
    """

    mlp_dim: int
    glu: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = False, dropout_rate: Any = 0.0
    ) -> jax.Array:
        """[batch, token, width] to the same shape."""
        width = x.shape[-1]
        x = nn.gelu(_dense(self.mlp_dim)(x), approximate=True)
        if self.glu:
            x = x * _dense(self.mlp_dim)(x)
        x = Dropout()(x, rate=dropout_rate, deterministic=not train)
        return _dense(width)(x)


class EncoderBlock(nn.Module):
    """Self-attention and an MLP, each added to its input.

    Layer normalisation is before each of them, or with `post_ln` after each sum
    (Vaswani et al. 2017). Attention weights are never dropped.
    """

    mlp_dim: int
    num_heads: int
    glu: bool
    post_ln: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        """[batch, token, width] to the same shape."""

        def attend(y: jax.Array) -> jax.Array:
            return _attention(self.num_heads, "MultiHeadDotProductAttention_1")(y, y)

        def feed_forward(y: jax.Array) -> jax.Array:
            mlp = MlpBlock(self.mlp_dim, self.glu, name="MlpBlock_3")
            return mlp(y, train, dropout_rate)

        for branch, norm_name in (
            (attend, "LayerNorm_0"),
            (feed_forward, "LayerNorm_2"),
        ):
            norm = nn.LayerNorm(name=norm_name)
            y = branch(x if self.post_ln else norm(x))
            x = x + Dropout()(y, rate=dropout_rate, deterministic=not train)
            x = norm(x) if self.post_ln else x
        return x


class Encoder(nn.Module):
    """A stack of blocks, with a last normalisation unless they end with theirs."""

    depth: int
    mlp_dim: int
    num_heads: int
    glu: bool
    post_ln: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        """[batch, token, width] to the same shape."""
        for i in range(self.depth):
            x = EncoderBlock(
                self.mlp_dim,
                self.num_heads,
                self.glu,
                self.post_ln,
                name=f"encoderblock_{i}",
            )(x, train, dropout_rate)
        return x if self.post_ln else nn.LayerNorm(name="encoder_layernorm")(x)


class MAPHead(nn.Module):
    """Pooling by multi-head attention of one learned probe (Lee et al. 2019)."""

    mlp_dim: int
    num_heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, token, width] to [batch, width]; its MLP never drops units."""
        batch, _, width = x.shape
        xavier = nn.initializers.xavier_uniform()
        probe = self.param("probe", xavier, (1, 1, width))
        probe = jnp.broadcast_to(probe, (batch, 1, width))
        name = "MultiHeadDotProductAttention_0"
        x = _attention(self.num_heads, name)(probe, x)
        y = nn.LayerNorm(name="LayerNorm_0")(x)
        x = x + MlpBlock(self.mlp_dim, name="MlpBlock_0")(y)
        return x[:, 0]


class ViT(nn.Module):
    """ViT-S/16 as it stands; 22,122,472 parameters.

    Variants: `glu` gates the MLPs of the encoder, `post_ln` normalises after each sum
    instead of before each branch, `map_head` pools by attention instead of the mean.
    """

    width: int = 384
    depth: int = 12
    mlp_dim: int = 1536
    num_heads: int = 6
    patch_size: int = 16
    num_classes: int = 1000
    glu: bool = False
    post_ln: bool = False
    map_head: bool = False

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False, dropout_rate: Any = 0.0
    ) -> jax.Array:
        """Logits [batch, class] of images [batch, height, width, 3] of any size.

        Pixels at the right and bottom that fill no patch are left out. `dropout_rate`
        is for all sites, may be traced, and only counts with `train`.

        Raises:
          UserError: `width` cannot hold the position embedding.
        """
        patch = (self.patch_size, self.patch_size)
        x = nn.Conv(
            self.width,
            patch,
            strides=patch,
            padding="VALID",
            name="conv_patch_extract",
        )(images)
        batch, rows, columns, _ = x.shape
        positions = position_embedding(rows, columns, self.width)
        x = x.reshape(batch, rows * columns, self.width) + positions[None]
        x = Dropout()(x, rate=dropout_rate, deterministic=not train)
        x = Encoder(
            self.depth,
            self.mlp_dim,
            self.num_heads,
            self.glu,
            self.post_ln,
            name="Transformer",
        )(x, train, dropout_rate)
        if self.map_head:
            x = MAPHead(self.mlp_dim, self.num_heads, name="MAPHead_0")(x)
        else:
            x = jnp.mean(x, axis=1)
        x = nn.tanh(nn.Dense(self.width, name="pre_logits")(x))
        # Zeros: an untrained model gives every class the same probability.
        zeros = nn.initializers.zeros
        return nn.Dense(self.num_classes, kernel_init=zeros, name="head")(x)


def feed_vit(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Images, with dropout in training."""
    return apply(
        batch["inputs"], train=options.train, dropout_rate=options.dropout_rate
    )


def position_embedding(rows: int, columns: int, width: int) -> np.ndarray:
    """Fixed embedding [rows * columns, width] of patches in row-major order.

    A quarter of the width each: sin x, cos x, sin y, cos y, at frequencies that fall
    geometrically from 1 to 1/10000 (Beyer et al. 2022, after Chen et al. 2021).

    Raises:
      UserError: `width` is no multiple of 4 from 8 on.
    """
    if width % 4 or width < 8:
        raise UserError(
            f"ViT has width {width}; it must be a multiple of 4, and 8 at least, to "
            "hold two sines and two cosines of positions. Change it in the "
            "workload's facts."
        )
    exponents = np.linspace(0.0, 1.0, width // 4)
    y, x = (grid.reshape(-1, 1) for grid in np.mgrid[:rows, :columns])
    angles = [position / _LONGEST_WAVE**exponents for position in (x, y)]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.concatenate(waves, axis=1).astype(np.float32)


def _attention(num_heads: int, name: str) -> nn.Module:
    return nn.MultiHeadDotProductAttention(
        num_heads, kernel_init=nn.initializers.xavier_uniform(), name=name
    )


def _dense(features: int) -> nn.Dense:
    return nn.Dense(
        features,
        kernel_init=nn.initializers.xavier_uniform(),
        bias_init=nn.initializers.normal(_BIAS_STD),
    )
