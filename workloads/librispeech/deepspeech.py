"""Deep Speech 2 (Amodei et al. 2016): bidirectional LSTMs for speech recognition."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.facts import UserError, chosen
from algoperf.layers import Dropout
from workloads.librispeech.encoder_input import (
    XAVIER,
    Activation,
    Subsample,
    masked_log_mel,
)
from workloads.librispeech.lstm import BidirectionalLSTM
from workloads.librispeech.norms import BatchNorm, LayerNorm

_ACTIVATIONS: Mapping[str, Activation] = {"relu": nn.relu, "tanh": jnp.tanh}


class BatchRNN(nn.Module):
    """Normalisation and a bidirectional LSTM of the same width."""

    layer_norm: bool
    batch_norm_momentum: float

    @nn.compact
    def __call__(
        self, x: jax.Array, paddings: jax.Array, use_running_average: bool
    ) -> jax.Array:
        """[batch, frame, width] to the same shape."""
        width = x.shape[-1]
        x = _normalized(
            x,
            paddings,
            use_running_average,
            self.layer_norm,
            self.batch_norm_momentum,
        )
        return BidirectionalLSTM(width // 2)(x, paddings)


class FeedForwardModule(nn.Module):
    """Normalisation, a Dense of the same width, and an activation."""

    layer_norm: bool
    batch_norm_momentum: float
    activation: Activation

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
        x = _normalized(
            x,
            paddings,
            use_running_average,
            self.layer_norm,
            self.batch_norm_momentum,
        )
        x = self.activation(nn.Dense(x.shape[-1], kernel_init=XAVIER)(x))
        x = x * (1.0 - paddings)[..., None]
        return Dropout()(x, rate=dropout_rate, deterministic=not train)


class DeepSpeech(nn.Module):
    """AlgoPerf's DeepSpeech as it stands; 18,381,312 parameters.

    Variants: `activation` is "relu" or "tanh", of the convolutions and the feed-forward
    layers; `residual=False` adds no layer to its input; `layer_norm_everywhere` takes
    layer normalisation for all batch normalisation (then there is no model state), and
    `decoder_layer_norm=False` leaves out the last one. Short trainings need a smaller
    `batch_norm_momentum`.

    Dropout follows the rate that it is given at all its sites. AlgoPerf's own code has
    the constant 0.1 in the residual feed-forward layers instead.
    """

    vocab_size: int = 1024
    encoder_dim: int = 512
    num_lstm_layers: int = 6
    num_feed_forward_layers: int = 3
    activation: str = "relu"
    residual: bool = True
    layer_norm_everywhere: bool = False
    decoder_layer_norm: bool = True
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

        Arguments and errors are those of `Conformer`; padding stands at the end.
        """
        if self.encoder_dim % 2:
            raise UserError(
                f"DeepSpeech has encoder_dim {self.encoder_dim}; it must be even, half "
                "for each direction. Change it in the workload's facts."
            )
        activation = chosen("DeepSpeech", "activation", self.activation, _ACTIVATIONS)
        x, paddings = masked_log_mel(
            audio, paddings, train, self.time_mask_count, self.freq_mask_count
        )
        subsample = Subsample(self.encoder_dim, activation, positions=False)
        x, paddings = subsample(x, paddings, train, dropout_rate)
        for _ in range(self.num_lstm_layers):
            layer = BatchRNN(self.layer_norm_everywhere, self.batch_norm_momentum)
            y = layer(x, paddings, use_running_average)
            x = x + y if self.residual else y
        for _ in range(self.num_feed_forward_layers):
            layer = FeedForwardModule(
                self.layer_norm_everywhere, self.batch_norm_momentum, activation
            )
            y = layer(x, paddings, train, use_running_average, dropout_rate)
            x = x + y if self.residual else y
        if self.decoder_layer_norm:
            x = LayerNorm()(x)
        return nn.Dense(self.vocab_size, kernel_init=XAVIER)(x), paddings


def _normalized(
    x: jax.Array,
    paddings: jax.Array,
    use_running_average: bool,
    layer_norm: bool,
    batch_norm_momentum: float,
) -> jax.Array:
    if layer_norm:
        return LayerNorm()(x)
    return BatchNorm(batch_norm_momentum)(x, paddings, use_running_average)
