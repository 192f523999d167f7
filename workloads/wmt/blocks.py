"""The blocks of the Transformer (Vaswani et al. 2017)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.layers import Dropout
from workloads.wmt.layers import Attention, KeysValues, MlpBlock

Branch = Callable[[jax.Array], jax.Array]


class Shape(NamedTuple):
    """What all blocks have in common; see `Transformer`."""

    width: int
    num_heads: int
    mlp_dim: int
    activation: str
    glu: bool
    post_ln: bool
    attention_temp: float

    def attention(self, number: int) -> Attention:
        name = f"MultiHeadDotProductAttention_{number}"
        return Attention(self.width, self.num_heads, self.attention_temp, name=name)

    def mlp(self) -> MlpBlock:
        return MlpBlock(self.mlp_dim, self.activation, self.glu, name="MlpBlock_0")


def add_branch(
    x: jax.Array, branch: Branch, norm: nn.LayerNorm, post_ln: bool
) -> jax.Array:
    """`x` with what a branch makes of it, normalised before the branch or at last."""
    return norm(x + branch(x)) if post_ln else x + branch(norm(x))


class EncoderBlock(nn.Module):
    """Self-attention and an MLP, each added to its input."""

    shape: Shape

    def setup(self) -> None:
        self.self_attention = self.shape.attention(0)
        self.feed_forward = self.shape.mlp()
        self.norms = [nn.LayerNorm(name=f"LayerNorm_{i}") for i in range(2)]
        self.dropout = Dropout()

    def __call__(
        self, x: jax.Array, mask: jax.Array, train: bool, dropout_rate: Any
    ) -> jax.Array:
        """[batch, position, width] to the same shape."""

        def attend(y: jax.Array) -> jax.Array:
            y = self.self_attention(y, self.self_attention.keys_values(y), mask)
            return self.dropout(y, rate=dropout_rate, deterministic=not train)

        x = add_branch(x, attend, self.norms[0], self.shape.post_ln)
        return add_branch(
            x,
            lambda y: self.feed_forward(y, train, dropout_rate),
            self.norms[1],
            self.shape.post_ln,
        )


class DecoderBlock(nn.Module):
    """Self-attention, attention to the source, and an MLP, each added to its input."""

    shape: Shape

    def setup(self) -> None:
        self.self_attention = self.shape.attention(0)
        self.cross_attention = self.shape.attention(1)
        self.feed_forward = self.shape.mlp()
        self.norms = [nn.LayerNorm(name=f"LayerNorm_{i}") for i in range(3)]
        self.dropout = Dropout()

    def __call__(
        self,
        x: jax.Array,
        source: jax.Array,
        self_mask: jax.Array,
        source_mask: jax.Array,
        train: bool,
        dropout_rate: Any,
    ) -> jax.Array:
        """[batch, position, width] to the same shape; `source` is what was encoded."""

        def attend(y: jax.Array) -> jax.Array:
            return self.self_attention(y, self.self_attention.keys_values(y), self_mask)

        def look_up(y: jax.Array) -> jax.Array:
            return self.cross_attention(y, self.source_keys_values(source), source_mask)

        return self._add_all(x, attend, look_up, train, dropout_rate)

    def source_keys_values(self, source: jax.Array) -> KeysValues:
        """What a whole translation looks at in the source."""
        return self.cross_attention.keys_values(source)

    def step(
        self,
        x: jax.Array,
        index: jax.Array,
        cached: KeysValues,
        source: KeysValues,
        source_mask: jax.Array,
    ) -> tuple[jax.Array, KeysValues]:
        """One position of every hypothesis: `x` [batch, hypothesis, width].

        `cached` has the keys and values of the positions before `index`,
        [batch, hypothesis, head, length, head size]; they come back with this one's.
        """
        updated = cached

        def attend(y: jax.Array) -> jax.Array:
            nonlocal updated
            y = y[:, :, None]
            new = self.self_attention.keys_values(y)
            keys, values = (
                jax.lax.dynamic_update_slice_in_dim(old, part, index, axis=3)
                for old, part in zip(cached, new, strict=True)
            )
            updated = keys, values
            so_far = jnp.arange(cached[0].shape[3]) <= index
            mask = so_far.reshape(1, 1, 1, 1, -1)
            return self.self_attention(y, updated, mask)[:, :, 0]

        def look_up(y: jax.Array) -> jax.Array:
            # The hypotheses of a sentence are so many queries to the same source.
            return self.cross_attention(y, source, source_mask)

        return self._add_all(x, attend, look_up, False, 0.0), updated

    def _add_all(
        self, x: jax.Array, attend: Branch, look_up: Branch, train: bool, rate: Any
    ) -> jax.Array:
        def dropped(branch: Branch) -> Branch:
            return lambda y: self.dropout(branch(y), rate=rate, deterministic=not train)

        x = add_branch(x, dropped(attend), self.norms[0], self.shape.post_ln)
        x = add_branch(x, dropped(look_up), self.norms[1], self.shape.post_ln)
        return add_branch(
            x,
            lambda y: self.feed_forward(y, train, rate),
            self.norms[2],
            self.shape.post_ln,
        )
