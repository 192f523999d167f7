"""Speech by rule: a source (pulses of a voice, or noise) through moving resonances.

The source-filter theory of speech production (Fant 1960). Each letter has a sound:
vowels and sonorants are three formants of a voice, fricatives three bands of noise,
plosives a pause and a burst. Resonances glide from sound to sound. Voices differ in
pitch, length of the vocal tract (all resonances by one factor), speed and loudness, and
there is noise behind them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from workloads.librispeech.frontend import SAMPLE_RATE_HZ
from workloads.raw_draws import RawDraws

LETTERS = "abdefiklmnoprstuz"

_HOP = 128  # samples of a frame: 8 ms
_WINDOW = 2 * _HOP
_FFT = 3 * _HOP  # room on both sides for what the resonances add
_MARGIN = (_FFT - _WINDOW) // 2
_GLIDE, _FADE = 5, 3  # frames that resonances and loudness take to change
_STRENGTHS = (1.0, 0.6, 0.4)  # of the three resonances
_WORD_GAP = 3  # frames
# Resonances are looked up: a table of this many, equally far apart in log(Hz).
_RESONANCES, _LOWEST_HZ, _HIGHEST_HZ = 192, 150.0, 7_800.0


class Sound(NamedTuple):
    """A stretch of speech: frames, share of voice (the rest is noise), loudness."""

    frames: int
    voice: float
    loudness: float
    resonances_hz: tuple[float, float, float]


def _vowel(*resonances_hz: float) -> tuple[Sound, ...]:
    first, second, third = resonances_hz
    return (Sound(12, 1.0, 1.0, (first, second, third)),)


def _plosive(voice: float, *resonances_hz: float) -> tuple[Sound, ...]:
    first, second, third = resonances_hz
    bar = (250.0, second, third)
    return (
        Sound(6, voice, 0.08 * voice, bar),
        Sound(3, 0.3 * voice, 0.5, (first, second, third)),
    )


# The vowels' formants: means of men in Peterson & Barney 1952, table II.
SOUNDS: Mapping[str, tuple[Sound, ...]] = {
    "a": _vowel(730, 1090, 2440),
    "e": _vowel(530, 1840, 2480),
    "i": _vowel(270, 2290, 3010),
    "o": _vowel(570, 840, 2410),
    "u": _vowel(300, 870, 2240),
    "l": (Sound(9, 1.0, 0.5, (360, 1300, 2900)),),
    "m": (Sound(9, 1.0, 0.4, (250, 1000, 2200)),),
    "n": (Sound(9, 1.0, 0.4, (250, 1600, 2600)),),
    "r": (Sound(9, 1.0, 0.5, (310, 1060, 1400)),),
    "f": (Sound(10, 0.0, 0.15, (1800, 4500, 7400)),),
    "s": (Sound(11, 0.0, 0.4, (4500, 5600, 6800)),),
    "z": (Sound(10, 0.5, 0.3, (4500, 5600, 6800)),),
    "b": _plosive(1.0, 500, 900, 2200),
    "d": _plosive(1.0, 1800, 3400, 4200),
    "k": _plosive(0.0, 1500, 1900, 2700),
    "p": _plosive(0.0, 500, 900, 2200),
    "t": _plosive(0.0, 2800, 3900, 5200),
}


class Voice(NamedTuple):
    """How each of some utterances is spoken: float32 [utterance]."""

    pitch_hz: np.ndarray
    tract: np.ndarray  # factor on resonances: 1 is a man's vocal tract, more is shorter
    slowness: np.ndarray  # factor on durations
    loudness: np.ndarray  # root mean square of what is spoken, of 2^15
    noise: np.ndarray  # of what is behind it, relative to that


def draw_voices(draw: RawDraws, count: int) -> Voice:
    """Voices at random; a higher pitch goes with a shorter vocal tract."""
    height = draw(0.0, 1.0, count)
    return Voice(
        pitch_hz=95 * 2 ** (1.25 * height + draw(-0.2, 0.2, count)),
        tract=0.95 + 0.25 * height + draw(-0.06, 0.06, count),
        slowness=draw(0.85, 1.2, count),
        loudness=600 * 2 ** draw(0.0, 3.0, count),
        noise=0.05 * 2 ** draw(0.0, 4.5, count),
    )


def speak(
    texts: Sequence[str], voice: Voice, draw: RawDraws, max_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples int16 [text, max_samples], 0 at the end, and lengths int32 [text]."""
    frames = max_samples // _HOP - 1
    tracks, used = _tracks(texts, voice.slowness, draw, frames)
    lengths = (used + 1) * _HOP
    sound = _synthesised(tracks, voice, draw)[:, :max_samples]
    spoken = np.arange(max_samples)[None] < lengths[:, None]
    power = np.sum(np.square(sound) * spoken, axis=1) / lengths
    sound *= (voice.loudness / np.sqrt(power))[:, None]
    sound += (voice.loudness * voice.noise)[:, None] * draw.noise(*sound.shape)
    limits = np.iinfo(np.int16)
    samples = np.rint(np.clip(sound, limits.min, limits.max)) * spoken
    return samples.astype(np.int16), lengths.astype(np.int32)


def _tracks(
    texts: Sequence[str], slowness: np.ndarray, draw: RawDraws, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Voice, loudness and resonances float32 [text, frame, 5]; frames used [text]."""
    tracks = np.zeros((len(texts), frames, 5), np.float32)
    used = np.zeros(len(texts), np.int64)
    pauses = draw(2.0, 8.0, len(texts), 2)
    stretch = draw(0.8, 1.25, len(texts), max(map(len, texts)))
    for i, text in enumerate(texts):
        at = pauses[i, 0]
        for place, letter in enumerate(text):
            factor = slowness[i] * stretch[i, place]
            if letter == " ":
                at += _WORD_GAP * factor
                continue
            for sound in SOUNDS[letter]:
                end = at + sound.frames * factor
                row = (sound.voice, sound.loudness, *sound.resonances_hz)
                # What comes before has the resonances too: there they begin to glide.
                tracks[i, round(at) : round(end)] = row
                at = end
        used[i] = min(frames, round(at + pauses[i, 1]))
    _hold_resonances(tracks)
    tracks[..., 0] = _smooth(tracks[..., 0], _FADE)
    tracks[..., 1] = _smooth(tracks[..., 1], _FADE)
    for i in range(2, 5):
        tracks[..., i] = _smooth(tracks[..., i], _GLIDE)
    return tracks, used


def _hold_resonances(tracks: np.ndarray) -> None:
    """Where nothing is spoken, the resonances are those of the sound before."""
    silent = tracks[..., 2] == 0
    frame = np.where(silent, 0, np.arange(tracks.shape[1])[None])
    last = np.maximum.accumulate(frame, axis=1)
    rows = np.arange(len(tracks))[:, None]
    tracks[..., 2:] = np.maximum(tracks[rows, last, 2:], _LOWEST_HZ)


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Means of `width` frames around each of [text, frame]."""
    half = width // 2
    around = np.pad(values, ((0, 0), (half, half)), mode="edge")
    count = values.shape[1]
    total = np.zeros_like(values)
    for i in range(width):
        total += around[:, i : i + count]
    return total / np.float32(width)


def _synthesised(tracks: np.ndarray, voice: Voice, draw: RawDraws) -> np.ndarray:
    """Sound float32 [text, sample] of unit scale: windows, filtered and added up."""
    count, frames, _ = tracks.shape
    pulses = _pulses(voice.pitch_hz, (frames + 1) * _HOP, draw)
    hiss = draw.noise(count, (frames + 1) * _HOP)
    share = tracks[..., 0:1]
    source = np.sqrt(share) * _windows(pulses) + np.sqrt(1 - share) * _windows(hiss)
    padded = np.zeros((count, frames, _FFT), np.float32)
    padded[..., _MARGIN : _MARGIN + _WINDOW] = source * tracks[..., 1:2]
    gains = _gains(tracks[..., 2:] * voice.tract[:, None, None])
    spectrum = np.fft.rfft(padded) * gains
    parts = np.fft.irfft(spectrum, _FFT).astype(np.float32)
    parts = parts.reshape(count, frames, _FFT // _HOP, _HOP)
    sound = np.zeros((count, frames + _FFT // _HOP, _HOP), np.float32)
    for i in range(_FFT // _HOP):
        sound[:, i : i + frames] += parts[:, :, i]
    return sound.reshape(count, -1)[:, _MARGIN:]


def _pulses(pitch_hz: np.ndarray, samples: int, draw: RawDraws) -> np.ndarray:
    """Pulses [text, sample] of deviation 1, whose pitch falls and wavers."""
    seconds = np.arange(samples, dtype=np.float32)[None] / SAMPLE_RATE_HZ
    fall, depth, rate, phase = (
        draw(low, high, len(pitch_hz), 1)
        for low, high in ((0.0, 0.2), (0.0, 0.05), (2.0, 6.0), (0.0, 6.28))
    )
    contour = 1 - fall * seconds + depth * np.sin(6.28 * rate * seconds + phase)
    hertz = pitch_hz[:, None] * contour
    turns = np.floor(np.cumsum(hertz / SAMPLE_RATE_HZ, axis=1, dtype=np.float64))
    pulses = np.diff(turns, axis=1, prepend=0) > 0
    return pulses * np.sqrt(SAMPLE_RATE_HZ / hertz)


def _windows(signal: np.ndarray) -> np.ndarray:
    """[text, frame, 256] of [text, sample]: Hann windows that add up to 1."""
    blocks = signal.reshape(len(signal), -1, _HOP)
    pairs = np.concatenate([blocks[:, :-1], blocks[:, 1:]], axis=-1)
    turns = (np.arange(_WINDOW) + 0.5) / _WINDOW
    return pairs * (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)


def _gains(resonances_hz: np.ndarray) -> np.ndarray:
    """What resonances [text, frame, 3] do to frequencies: [text, frame, 193]."""
    span = np.log(_HIGHEST_HZ / _LOWEST_HZ)
    place = np.log(resonances_hz / _LOWEST_HZ) * np.float32((_RESONANCES - 1) / span)
    index = np.clip(np.rint(place), 0, _RESONANCES - 1).astype(np.int32)
    table = _resonance_table()
    gains = np.zeros((*index.shape[:2], table.shape[1]), np.float32)
    for i, strength in enumerate(_STRENGTHS):
        gains += np.float32(strength) * table[index[..., i]]
    return gains


def _resonance_table() -> np.ndarray:
    """Gains float32 [resonance, 193] of resonances that are 1 at their peaks."""
    center = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _RESONANCES)[:, None]
    hertz = np.linspace(0, SAMPLE_RATE_HZ / 2, _FFT // 2 + 1)[None]
    bandwidth = 60 + 0.06 * center
    detuning = (hertz**2 - center**2) / np.maximum(hertz * bandwidth, 1)
    return (1 / np.sqrt(1 + detuning**2)).astype(np.float32)
