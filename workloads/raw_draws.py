"""Random numbers for generated data, from draws that stay the same.

NumPy promises the raw stream of a bit generator between versions, and not what its
`Generator` makes of it.
"""

import numpy as np


class Uniform:
    """Uniform numbers in [low, high) from raw 64-bit draws."""

    def __init__(self, bits: np.random.Philox):
        self._bits = bits

    def __call__(self, low: float, high: float, *shape: int) -> np.ndarray:
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
        return np.minimum(self(0, options, count).astype(np.int32), options - 1)
