"""Conformer (Gulati et al. 2020): attention and convolution for speech recognition."""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn

from algoperf.facts import chosen
from algoperf.layers import Dropout
from workloads.librispeech.encoder_input import (
    XAVIER,
    Activation,
    Subsample,
    masked_log_mel,
)
from workloads.librispeech.norms import BatchNorm, LayerNorm

_Dense = functools.partial(nn.Dense, kernel_init=XAVIER)
_ACTIVATIONS: Mapping[str, Activation] = {
    "swish": nn.swish,
    "gelu": functools.partial(nn.gelu, approximate=True),
}


class FeedForwardModule(nn.Module):
    """Dense to `expansion` times the width, activation, and back."""

    expansion: int
    activation: Activation

    @nn.compact
    def __call__(
        self, x: jax.Array, paddings: jax.Array, train: bool, dropout_rate: Any
    ) -> jax.Array:
        """[batch, frame, width] to the same shape."""
        width, valid = x.shape[-1], (1.0 - paddings)[..., None]
        x = _Dense(self.expansion * width)(LayerNorm()(x))
        x = self.activation(x)
        x = Dropout()(x, rate=dropout_rate, deterministic=not train) * valid
        x = _Dense(width)(x) * valid
        return Dropout()(x, rate=dropout_rate, deterministic=not train)


class QueryScaler(nn.Module):
    """A learned positive factor for each dimension of a head; 1 at the start."""

    @nn.compact
    def __call__(self, query: jax.Array) -> jax.Array:
        """[batch, frame, head, dimension] to the same shape."""
        scale = self.param("scale", nn.initializers.zeros, (query.shape[-1],))
        factor = jax.nn.softplus(scale) / math.log(2)  # softplus(0) is log 2
        return query * factor[None, None, None]


class MultiHeadedSelfAttention(nn.Module):
    """Self-attention among the valid frames; its weights are never dropped.

    What the heads read is multiplied by `temperature` before the output projection.
    """

    num_heads: int
    temperature: float

    @nn.compact
    def __call__(
        self, x: jax.Array, paddings: jax.Array, train: bool, dropout_rate: Any
    ) -> jax.Array:
        """[batch, frame, width] to the same shape."""

        def attend(query, key, value, mask):
            # Flax calls this within its module, whose child the scaler becomes.
            read = nn.dot_product_attention(QueryScaler()(query), key, value, mask=mask)
            return read * self.temperature

        valid = paddings < 1
        x = nn.MultiHeadDotProductAttention(
            self.num_heads, kernel_init=XAVIER, attention_fn=attend
        )(LayerNorm()(x), mask=nn.make_attention_mask(valid, valid, dtype=bool))
        return Dropout()(x, rate=dropout_rate, deterministic=not train)


class ConvolutionBlock(nn.Module):
    """A gated linear unit, a convolution of each channel by itself, and a Dense."""

    kernel_size: int
    activation: Activation
    batch_norm_momentum: float

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        paddings: jax.Array,
        train: bool,
        use_running_average: bool,
        dropout_rate: Any,
    ) -> jax.Array:
        """[batch, frame, width] to the same shape."""
        width = x.shape[-1]
        x = LayerNorm()(x)
        x = _Dense(width)(x) * nn.sigmoid(_Dense(width)(x))
        x = x * (1.0 - paddings)[..., None]
        x = nn.Conv(
            width,
            (self.kernel_size,),
            feature_group_count=width,
            use_bias=False,
            kernel_init=XAVIER,
        )(x)
        norm = BatchNorm(self.batch_norm_momentum)
        x = self.activation(norm(x, paddings, use_running_average))
        return Dropout()(_Dense(width)(x), rate=dropout_rate, deterministic=not train)


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward: all added.

    With `post_layer_norm` their sum is normalised.
    """

    num_heads: int
    kernel_size: int
    expansion: int
    activation: Activation
    temperature: float
    post_layer_norm: bool
    batch_norm_momentum: float

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        paddings: jax.Array,
        train: bool,
        use_running_average: bool,
        dropout_rate: Any,
    ) -> jax.Array:
        """[batch, frame, width] to the same shape."""
        feed_forward = functools.partial(
            FeedForwardModule, self.expansion, self.activation
        )
        x = x + 0.5 * feed_forward()(x, paddings, train, dropout_rate)
        attention = MultiHeadedSelfAttention(self.num_heads, self.temperature)
        x = x + attention(x, paddings, train, dropout_rate)
        convolution = ConvolutionBlock(
            self.kernel_size, self.activation, self.batch_norm_momentum
        )
        x = x + convolution(x, paddings, train, use_running_average, dropout_rate)
        x = x + 0.5 * feed_forward()(x, paddings, train, dropout_rate)
        return LayerNorm()(x) if self.post_layer_norm else x


class Conformer(nn.Module):
    """AlgoPerf's Conformer as it stands; 32,321,792 parameters.

    Variants: `attention_temperature` multiplies what attention reads;
    `use_post_layer_norm=False` leaves out the normalisation at the end of each block;
    `activation` is "swish" or "gelu" (its tanh approximation). Short trainings need a
    smaller `batch_norm_momentum`.
    """

    vocab_size: int = 1024
    encoder_dim: int = 512
    num_blocks: int = 4
    num_heads: int = 8
    kernel_size: int = 5
    feed_forward_expansion: int = 4
    activation: str = "swish"
    attention_temperature: float = 1.0
    use_post_layer_norm: bool = True
    time_mask_count: int = 10
    freq_mask_count: int = 2
    batch_norm_momentum: float = 0.999

    @nn.compact
    def __call__(
        self,
        audio: jax.Array,
        paddings: jax.Array,
        train: bool = False,
        use_running_average: bool = True,
        dropout_rate: Any = 0.0,
    ) -> tuple[jax.Array, jax.Array]:
        """Logits [batch, frame, piece] and paddings [batch, frame], 25 frames a second.

        Args:
          audio: 16-bit PCM values as float32 [batch, sample], at 16 kHz.
          paddings: [batch, sample], 1 where a sample is padding.
          train: masks stripes of the features, and drops units.
          use_running_average: of batch normalisation (`BatchNorm`).
          dropout_rate: for all sites; may be traced, and only counts with `train`.

        Raises:
          UserError: the audio is shorter than a frame, or a field has no such value.
        """
        activation = chosen("Conformer", "activation", self.activation, _ACTIVATIONS)
        x, paddings = masked_log_mel(
            audio, paddings, train, self.time_mask_count, self.freq_mask_count
        )
        subsample = Subsample(self.encoder_dim, nn.relu, positions=True)
        x, paddings = subsample(x, paddings, train, dropout_rate)
        for _ in range(self.num_blocks):
            x = ConformerBlock(
                self.num_heads,
                self.kernel_size,
                self.feed_forward_expansion,
                activation,
                self.attention_temperature,
                self.use_post_layer_norm,
                self.batch_norm_momentum,
            )(x, paddings, train, use_running_average, dropout_rate)
        return _Dense(self.vocab_size)(LayerNorm()(x)), paddings
