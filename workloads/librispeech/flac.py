"""LibriSpeech's audio: FLAC, 16 kHz, one channel, 16 bits."""

import io
from typing import NamedTuple

import numpy as np

from algoperf.facts import UserError
from workloads.librispeech.frontend import SAMPLE_RATE_HZ

CHANNELS, BITS = 1, 16
_MAGIC = b"fLaC"
# The first block, STREAMINFO, after the magic number and its own header of 4 bytes
# (RFC 9639, section 8.2): 10 bytes of block and frame sizes, then what is read here.
_FORMAT_OFFSET, _FORMAT_BYTES = 18, 8


class CorruptAudio(UserError):
    """Audio that is damaged or cut short."""

    def __init__(self, name: str, reason: str):
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.name} is damaged audio: {self.reason}; fetch it again and prepare "
            "the data set again"
        )


class Header(NamedTuple):
    """What a FLAC file says of itself."""

    sample_rate_hz: int
    channels: int
    bits: int
    samples: int  # per channel; 0 where the encoder did not know


def read_header(data: bytes, name: str) -> Header:
    """The header of a FLAC file.

    Raises:
      CorruptAudio: it is no FLAC file.
    """
    end = _FORMAT_OFFSET + _FORMAT_BYTES
    if data[:4] != _MAGIC or len(data) < end:
        raise CorruptAudio(
            name, f"it begins with {data[:4].hex(' ') or 'nothing'}, and is no FLAC"
        )
    # 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of samples.
    packed = int.from_bytes(data[_FORMAT_OFFSET:end], "big")
    return Header(
        packed >> 44,
        (packed >> 41 & 0b111) + 1,
        (packed >> 36 & 0b11111) + 1,
        packed & (1 << 36) - 1,
    )


def check_header(header: Header, name: str) -> None:
    """Refuses audio of another kind than LibriSpeech's.

    Raises:
      UserError: another sample rate, several channels, or other samples.
    """
    found = header.sample_rate_hz, header.channels, header.bits
    if found != (SAMPLE_RATE_HZ, CHANNELS, BITS):
        raise UserError(
            f"{name} has {header.sample_rate_hz:,} Hz, {header.channels} channel"
            f"{'s' * (header.channels > 1)} and {header.bits} bits; LibriSpeech has "
            f"{SAMPLE_RATE_HZ:,} Hz, {CHANNELS} channel and {BITS} bits. Take the "
            "official files."
        )


def decode_flac(data: bytes, name: str) -> np.ndarray:
    """Samples int16 [sample] of a FLAC file; releases Python's lock.

    Raises:
      CorruptAudio: it is damaged or cut short.
      UserError: it is audio of another kind, or soundfile is not installed.
    """
    soundfile = _soundfile()
    header = read_header(data, name)
    check_header(header, name)
    if not header.samples:
        raise CorruptAudio(name, "its header does not say how many samples it has")
    try:
        samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    except soundfile.LibsndfileError as error:
        raise CorruptAudio(name, str(error)) from None
    if len(samples) != header.samples:
        raise CorruptAudio(
            name, f"it has {len(samples):,} samples of {header.samples:,}"
        )
    return samples


def _soundfile():
    try:
        import soundfile
    except ImportError:
        raise UserError(
            "decoding FLAC needs soundfile: pip install 'algoperf-jax[data]'"
        ) from None
    return soundfile
