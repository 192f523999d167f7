"""What Conformer and DeepSpeech share: from audio to 25 frames a second."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from algoperf.facts import UserError
from algoperf.layers import Dropout
from algoperf.spec import Batch
from algoperf.workload import ForwardOptions
from workloads.librispeech.frontend import log_mel
from workloads.librispeech.spec_augment import SpecAugment
from workloads.librispeech.strided_conv import strided_conv

Activation = Callable[[jax.Array], jax.Array]
_LONGEST_WAVE = 10_000

# Every kernel but those of the LSTM starts so.
XAVIER = nn.initializers.xavier_uniform()


class Subsample(nn.Module):
    """Two 3x3 convolutions of stride 2 and a Dense: a quarter of the frames.

    With `positions`, sines and cosines of the frame's number are added.
    """

    features: int
    activation: Activation
    positions: bool

    @nn.compact
    def __call__(
        self, x: jax.Array, paddings: jax.Array, train: bool, dropout_rate: Any
    ) -> tuple[jax.Array, jax.Array]:
        """[batch, frame, bin] to [batch, frame / 4, feature], with their paddings."""
        x = x[..., None]
        for i in range(2):
            x = nn.Conv(
                self.features,
                (3, 3),
                strides=(2, 2),
                kernel_init=XAVIER,
                conv_general_dilated=strided_conv,
                name=f"Conv2dSubsampling_{i}",
            )(x)
            paddings = paddings[:, ::2]
            x = self.activation(x) * (1.0 - paddings)[..., None, None]
        batch, frames, bins, channels = x.shape
        x = x.reshape(batch, frames, bins * channels)
        x = nn.Dense(self.features, kernel_init=XAVIER)(x)
        if self.positions:
            x = x + position_code(frames, self.features)[None]
        return Dropout()(x, rate=dropout_rate, deterministic=not train), paddings


def masked_log_mel(
    audio: jax.Array,
    paddings: jax.Array,
    train: bool,
    time_mask_count: int,
    freq_mask_count: int,
) -> tuple[jax.Array, jax.Array]:
    """Features and paddings of `log_mel`, with random stripes in training.

    Called by a model, whose child `specaug` draws the random numbers.
    """
    features, paddings = log_mel(audio, paddings)
    if train:
        masks = SpecAugment(time_mask_count, freq_mask_count, name="specaug")
        features = masks(features, paddings)
    return features, paddings


def position_code(frames: int, features: int) -> np.ndarray:
    """Sines, then cosines, of the frame's number (Vaswani et al. 2017, section 3.5).

    Float32 [frame, feature]; wavelengths are 2π times 1 to 10,000, geometrically.

    Raises:
      UserError: `features` is odd, or has no two frequencies.
    """
    if features % 2 or features < 4:
        raise UserError(
            f"Conformer has encoder_dim {features}; it must be an even number, and 4 "
            "at least, to hold sines and cosines of positions. Change it in the "
            "workload's facts."
        )
    exponents = np.linspace(0.0, 1.0, features // 2)
    angles = np.arange(frames)[:, None] / _LONGEST_WAVE ** exponents[None]
    code = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return code.astype(np.float32)


def feed_speech(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Audio and its paddings; how normalisation and dropout behave."""
    audio, paddings = batch["inputs"]
    return apply(
        audio,
        paddings,
        train=options.train,
        use_running_average=options.use_running_average,
        dropout_rate=options.dropout_rate,
    )
