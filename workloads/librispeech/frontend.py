"""Log-mel features of audio at 16 kHz, in float32 on the device.

The scheme is that of HTK (Young et al., The HTK Book, chapter 5): pre-emphasis,
overlapping windows, power spectrum, triangular filters on the mel scale, logarithm.
"""

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.facts import UserError
from workloads.few_at_a_time import few_at_a_time
from workloads.librispeech.mel_constants import MEAN, STD

SAMPLE_RATE_HZ = 16_000
MEL_BINS = 80
HOP_SAMPLES = 160  # 10 ms
WINDOW_SAMPLES = 400  # 25 ms
# One more than the window: it only counts for the number of frames and their padding.
FRAME_SAMPLES = WINDOW_SAMPLES + 1

_FFT_SAMPLES = 512
_FREQUENCY_BINS = _FFT_SAMPLES // 2 + 1
_LOWEST_HZ, _HIGHEST_HZ = 125.0, 7_600.0
_PREEMPHASIS = 0.97
_PCM_SCALE = 2.0**-15  # 16-bit integers to [-1, 1)
_SMALLEST_ENERGY = 1e-5


def log_mel(audio: jax.Array, paddings: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Normalised log-mel features, and which of them are padding.

    Args:
      audio: 16-bit PCM values as float32 [batch, sample], at 16 kHz.
      paddings: [batch, sample], 1 where a sample is padding.

    Returns:
      Features [batch, frame, 80] and paddings [batch, frame], one frame per 10 ms that
      has all its 401 samples. A frame is padding if all its samples are.

    Raises:
      UserError: the audio is shorter than one frame.
    """
    return _features(audio, paddings)


@few_at_a_time
def _features(audio: jax.Array, paddings: jax.Array) -> tuple[jax.Array, jax.Array]:
    # `where`, not a product: padding may hold NaN, and NaN x 0 is NaN.
    audio = jnp.where(paddings < 1, audio * (1.0 - paddings), 0.0) * _PCM_SCALE
    energies = mel_energies(power_spectrum(windows(preemphasized(audio))))
    return normalized_log(energies), frame_paddings(paddings)


def num_frames(samples: int) -> int:
    """Frames of so many samples; the end is not padded.

    Raises:
      UserError: there is not one frame.
    """
    if samples < FRAME_SAMPLES:
        raise UserError(
            f"Audio of {samples} samples is too short for log-mel features: one frame "
            f"has {FRAME_SAMPLES} samples. Pad the batch to that length at least."
        )
    return (samples - FRAME_SAMPLES) // HOP_SAMPLES + 1


def preemphasized(audio: jax.Array) -> jax.Array:
    """y[t] = x[t] - 0.97 x[t-1] of audio [batch, sample]; x[-1] counts as 0.

    HTK and AlgoPerf do this within each frame, which only changes the first sample of
    each. The Hann window is 0 there, so that it may be done once for all frames.
    """
    previous = jnp.pad(audio[:, :-1], ((0, 0), (1, 0)))
    return audio - _PREEMPHASIS * previous


def windows(audio: jax.Array) -> jax.Array:
    """[batch, frame, 400]: every 160 samples of [batch, sample], a periodic Hann."""
    # Slices of blocks as long as the hop, not a gather: the same, to the last bit, and
    # without an index for each sample.
    blocks, count = _hop_blocks(audio, fill=0.0)
    last = WINDOW_SAMPLES - 2 * HOP_SAMPLES
    frames = jnp.concatenate(
        [blocks[:, :count], blocks[:, 1 : count + 1], blocks[:, 2:, :last]], axis=-1
    )
    turns = np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)
    return frames * hann[None, None]


def frame_paddings(paddings: jax.Array) -> jax.Array:
    """[batch, frame]: the least padding of each frame's 401 samples."""
    blocks, count = _hop_blocks(paddings, fill=1.0)
    last = FRAME_SAMPLES - 2 * HOP_SAMPLES
    whole = jnp.min(blocks, axis=-1)
    rest = jnp.min(blocks[:, 2:, :last], axis=-1)
    return jnp.minimum(jnp.minimum(whole[:, :count], whole[:, 1 : count + 1]), rest)


def power_spectrum(frames: jax.Array) -> jax.Array:
    """|DFT|² [..., 257] of frames [..., 400], padded to 512 samples."""
    spectrum = jnp.fft.rfft(frames, n=_FFT_SAMPLES)
    # Not abs() ** 2, which would take a root first.
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def mel_energies(power: jax.Array) -> jax.Array:
    """Energies [..., 80] of a power spectrum [..., 257] in the mel bins."""
    # In full float32: accelerators would round the factors to 10 or 8 bits.
    return jnp.matmul(power, mel_filters(), precision=jax.lax.Precision.HIGHEST)


def normalized_log(energies: jax.Array) -> jax.Array:
    """Logarithm of energies [..., 80], normalised by LibriSpeech's statistics."""
    shape = (1,) * (energies.ndim - 1) + (-1,)
    mean, std = (np.asarray(x, np.float32).reshape(shape) for x in (MEAN, STD))
    return (jnp.log(jnp.maximum(energies, _SMALLEST_ENERGY)) - mean) / std


def mel_filters() -> np.ndarray:
    """Triangular filters [257, 80] from 125 to 7,600 Hz, float32.

    Corners are equally far apart in mel, and the sides are straight in mel, not in
    hertz. The bin of frequency 0 belongs to no filter.
    """
    nyquist_hz = SAMPLE_RATE_HZ / 2
    bins = _hertz_to_mel(np.linspace(0.0, nyquist_hz, _FREQUENCY_BINS))[:, None]
    corners = np.linspace(
        _hertz_to_mel(_LOWEST_HZ), _hertz_to_mel(_HIGHEST_HZ), MEL_BINS + 2
    )[None]
    lower, center, upper = corners[:, :-2], corners[:, 1:-1], corners[:, 2:]
    rising = (bins - lower) / (center - lower)
    falling = (upper - bins) / (upper - center)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[0] = 0.0
    return filters.astype(np.float32)


def _hertz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def _hop_blocks(samples: jax.Array, fill: float) -> tuple[jax.Array, int]:
    """[batch, frames + 2, 160] and the number of frames; frame i starts in block i."""
    batch, length = samples.shape
    count = num_frames(length)
    needed = (count + 2) * HOP_SAMPLES
    samples = jnp.pad(
        samples[:, :needed],
        ((0, 0), (0, max(needed - length, 0))),
        constant_values=fill,
    )
    return samples.reshape(batch, count + 2, HOP_SAMPLES), count
