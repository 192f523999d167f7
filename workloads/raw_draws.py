"""Random numbers whose stream stays the same: raw draws of Philox.

NumPy promises that of raw draws, and not of the distributions of its `Generator`.
"""

import numpy as np


class RawDraws:
    """Numbers made of the raw 64-bit draws of one stream, in order."""

    def __init__(self, bits: np.random.Philox):
        self._bits = bits

    def __call__(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Uniform in [low, high), float32."""
        raw = self._bits.random_raw(int(np.prod(shape))) >> np.uint64(40)
        unit = raw.astype(np.float32) / np.float32(2**24)
        return (low + (high - low) * unit).reshape(shape).astype(np.float32)

    def normal(self, *shape: int) -> np.ndarray:
        """Nearly normal: the sum of four uniform 16-bit numbers, all of one draw."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        total = np.zeros_like(raw)
        for i in range(4):
            total += (raw >> np.uint64(16 * i)) & np.uint64(0xFFFF)
        centred = total.astype(np.float32) / np.float32(2**16) - np.float32(2)
        return centred.reshape(shape) * np.float32(3**0.5)

    def choice(self, options: int, count: int) -> np.ndarray:
        """Indices below `options`, int32 [count]."""
        return np.minimum(self(0, options, count).astype(np.int32), options - 1)

    def noise(self, *shape: int) -> np.ndarray:
        """Uniform with deviation 1, float32, four numbers of one draw: for audio."""
        count = int(np.prod(shape))
        raw = self._bits.random_raw(-(-count // 4)).astype("<u8").view("<i2")[:count]
        return raw.reshape(shape) * np.float32(3**0.5 / 2**15)
