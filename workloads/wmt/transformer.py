"""The encoder-decoder Transformer (Vaswani et al. 2017) of wmt, packed and cached.

Trees of parameters have AlgoPerf's names. Embeddings are shared by source, target and
output; the input is not scaled, and logits are divided by the root of the width.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.facts import UserError
from algoperf.layers import Dropout
from algoperf.spec import Batch
from algoperf.workload import ForwardOptions
from workloads.wmt.blocks import DecoderBlock, EncoderBlock, Shape
from workloads.wmt.layers import (
    KeysValues,
    position_embedding,
    shifted_right,
    visible,
)

# Per decoder layer: keys and values of what was decoded, and of the source.
Cache = tuple[KeysValues, ...]


class Encoder(nn.Module):
    """A stack of blocks, with a last normalisation unless they end with theirs."""

    shape: Shape
    depth: int

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array, train: bool, dropout_rate: Any
    ) -> jax.Array:
        """[batch, position, width] to the same shape."""
        for i in range(self.depth):
            block = EncoderBlock(self.shape, name=f"encoderblock_{i}")
            x = block(x, mask, train, dropout_rate)
        return x if self.shape.post_ln else nn.LayerNorm(name="encoder_layernorm")(x)


class Decoder(nn.Module):
    """A stack of blocks, with a last normalisation unless they end with theirs."""

    shape: Shape
    depth: int

    def setup(self) -> None:
        self.blocks = [
            DecoderBlock(self.shape, name=f"encoderdecoderblock_{i}")
            for i in range(self.depth)
        ]
        if not self.shape.post_ln:
            self.norm = nn.LayerNorm(name="encoderdecoder_layernorm")

    def __call__(self, x: jax.Array, *arguments: Any) -> jax.Array:
        """[batch, position, width] to the same shape; see `DecoderBlock`."""
        for block in self.blocks:
            x = block(x, *arguments)
        return self._normalised(x)

    def source_keys_values(self, source: jax.Array) -> Cache:
        return tuple(block.source_keys_values(source) for block in self.blocks)

    def step(
        self,
        x: jax.Array,
        index: jax.Array,
        cache: Cache,
        source: Cache,
        source_mask: jax.Array,
    ) -> tuple[jax.Array, Cache]:
        """One position; see `DecoderBlock.step`."""
        updated = []
        for block, cached, looked_at in zip(self.blocks, cache, source, strict=True):
            x, layer = block.step(x, index, cached, looked_at, source_mask)
            updated.append(layer)
        return self._normalised(x), tuple(updated)

    def _normalised(self, x: jax.Array) -> jax.Array:
        return x if self.shape.post_ln else self.norm(x)


class Transformer(nn.Module):
    """The model of wmt; 133,521,408 parameters as it stands.

    Variants: `post_ln` normalises after each sum instead of before each branch,
    `attention_temp` multiplies what attention asks with, `glu` and `activation` change
    the MLPs. `shift_across_sentences`: whether the decoder's first input of a sentence
    that shares its row with others is the end of the one before, and not 0 as when it
    translates. AlgoPerf's is, and its targets were reached so.
    """

    vocab_size: int = 32_000
    width: int = 1024
    depth: int = 6
    num_heads: int = 16
    mlp_dim: int = 1024
    activation: str = "relu"
    glu: bool = False
    post_ln: bool = False
    attention_temp: float = 1.0
    shift_across_sentences: bool = True

    def setup(self) -> None:
        self._check()
        shape = Shape(**{name: getattr(self, name) for name in Shape._fields})
        self.shared_embedding = nn.Embed(
            self.vocab_size,
            self.width,
            embedding_init=nn.initializers.normal(stddev=1.0),
        )
        self.encoder = Encoder(shape, self.depth)
        self.decoder = Decoder(shape, self.depth)
        self.dropout = Dropout()

    def __call__(
        self,
        inputs: jax.Array,
        targets: jax.Array,
        inputs_position: jax.Array | None = None,
        targets_position: jax.Array | None = None,
        inputs_segmentation: jax.Array | None = None,
        targets_segmentation: jax.Array | None = None,
        train: bool = False,
        dropout_rate: Any = 0.0,
    ) -> jax.Array:
        """Logits [batch, target position, token] of the targets.

        All arrays are integers [batch, position]; 0 is padding. Rows of several
        sentences have the positions within them and their numbers from 1 on.
        `dropout_rate` is for all sites, may be traced, and only counts with `train`.
        """
        mask = visible(inputs, inputs, inputs_segmentation, inputs_segmentation)
        x = self._embedded(inputs, inputs_position, train, dropout_rate)
        source = self.encoder(x, mask, train, dropout_rate)
        within = None if self.shift_across_sentences else targets_segmentation
        x = shifted_right(targets, within)
        x = self._embedded(x, targets_position, train, dropout_rate)
        x = self.decoder(
            x,
            source,
            visible(targets, targets, targets_segmentation, targets_segmentation, True),
            visible(targets, inputs, targets_segmentation, inputs_segmentation),
            train,
            dropout_rate,
        )
        return self._logits(x)

    def encode(self, inputs: jax.Array) -> Cache:
        """Keys and values of sources [batch, position], for every decoder layer."""
        x = self._embedded(inputs, None, False, 0.0)
        source = self.encoder(x, visible(inputs, inputs), False, 0.0)
        return self.decoder.source_keys_values(source)

    def step(
        self,
        tokens: jax.Array,
        index: jax.Array,
        cache: Cache,
        source: Cache,
        source_mask: jax.Array,
    ) -> tuple[jax.Array, Cache]:
        """Logits [batch, hypothesis, token] of what follows on `tokens`.

        `tokens` [batch, hypothesis] are at position `index` of the decoder's input,
        `cache` is of those before (see `empty_cache`) and comes back with this one.
        `source` is from `encode`, `source_mask` [batch, 1, 1, position] true for its
        tokens.
        """
        positions = position_embedding(cache[0][0].shape[3], self.width)
        here = jax.lax.dynamic_index_in_dim(jnp.asarray(positions), index)
        x = self.shared_embedding(tokens) + here[None]
        x, cache = self.decoder.step(x, index, cache, source, source_mask)
        return self._logits(x), cache

    def empty_cache(self, batch: int, hypotheses: int, length: int) -> Cache:
        """Room for the keys and values of `length` positions; needs no parameters."""
        size = self.width // self.num_heads
        zeros = jnp.zeros((batch, hypotheses, self.num_heads, length, size))
        return ((zeros, zeros),) * self.depth

    def _embedded(
        self, tokens: jax.Array, positions: jax.Array | None, train: bool, rate: Any
    ) -> jax.Array:
        table = position_embedding(tokens.shape[1], self.width)
        where = table[None] if positions is None else jnp.asarray(table)[positions]
        x = self.shared_embedding(tokens) + where
        return self.dropout(x, rate=rate, deterministic=not train)

    def _logits(self, x: jax.Array) -> jax.Array:
        return self.shared_embedding.attend(x) / jnp.sqrt(self.width).astype(x.dtype)

    def _check(self) -> None:
        if self.width % self.num_heads or self.width % 2 or self.width < 4:
            raise UserError(
                f"wmt's model has width {self.width} and {self.num_heads} heads; the "
                "width must be even, 4 at least, and a multiple of the heads. Change "
                "it in the workload's facts."
            )


def feed_transformer(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Sources and targets, packed or not, with dropout in training."""
    names = ("position", "segmentation")
    packed = {
        f"{side}_{name}": batch.get(f"{side}_{name}")
        for side in ("inputs", "targets")
        for name in names
    }
    return apply(
        batch["inputs"],
        batch["targets"],
        **packed,
        train=options.train,
        dropout_rate=options.dropout_rate,
    )
