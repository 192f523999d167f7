"""Generated volumes in k-space: what the mini fastMRI workloads train on.

A volume is a body with ellipsoids in it, some of them with a texture of fine waves;
its slices cut through them at different heights. Coils see it brighter on one side and
with a phase that changes slowly, and there is noise. As with fastMRI, k-space has more
rows than the image that is cut out of its middle, and every volume its own width.
"""

import functools
from collections.abc import Mapping

import numpy as np

from algoperf.facts import Split
from workloads.raw_draws import RawDraws

SIZE = 64  # pixels a side of an image
ROWS = 96  # of k-space
WIDTHS = (72, 76, 80, 84)  # columns of k-space; arrays have the most
SLICES = 12  # of a volume

_ELLIPSOIDS = 12
_WAVES = 2  # of a texture
_NOISE = 0.03  # standard deviation of a pixel's real and imaginary part
_STREAMS: Mapping[Split, int] = {"train": 0, "validation": 1, "test": 2}

Field = np.ndarray  # float32 [slice, row, column]


def phantoms(
    examples: Mapping[Split, int], seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Slices per split, read-only.

    `kspace` complex64 [n, 96, 84], filled up with columns of 0 at the right;
    `num_columns` int32 [n]; `targets` float32 [n, 64, 64], the magnitudes of the whole
    k-space's image; `volume_max` float32 [n], the largest of a volume's targets.
    """
    return {
        split: dict(_split(examples[split], (seed, stream)))
        for split, stream in _STREAMS.items()
    }


# Workloads share their slices: the variants have those of their base.
@functools.lru_cache(maxsize=3)
def _split(count: int, key: tuple[int, int]) -> dict[str, np.ndarray]:
    draw = RawDraws(np.random.Philox(key=key))
    arrays = {
        "kspace": np.zeros((count, ROWS, max(WIDTHS)), np.complex64),
        "num_columns": np.empty(count, np.int32),
        "targets": np.empty((count, SIZE, SIZE), np.float32),
        "volume_max": np.empty(count, np.float32),
    }
    for start in range(0, count, SLICES):
        part = slice(start, min(start + SLICES, count))
        image = _volume(draw, WIDTHS[draw.choice(len(WIDTHS), 1)[0]])
        targets = np.abs(_middle(image))
        width, slices = image.shape[2], part.stop - start
        arrays["kspace"][part, :, :width] = _transformed(image)[:slices]
        arrays["num_columns"][part] = width
        arrays["targets"][part] = targets[:slices]
        arrays["volume_max"][part] = targets.max()
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _transformed(image: np.ndarray) -> np.ndarray:
    """The orthonormal Fourier transform of slices, frequency 0 in the middle."""
    shifted = np.fft.ifftshift(image, axes=(1, 2))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(1, 2))


def _middle(image: np.ndarray) -> np.ndarray:
    top, left = ((length - SIZE) // 2 for length in image.shape[1:])
    return image[:, top : top + SIZE, left : left + SIZE]


def _volume(draw: RawDraws, width: int) -> np.ndarray:
    """Complex images [12, 96, width]; the middle 64 x 64 pixels go from -1 to 1."""
    y = _coordinates(ROWS)[None, :, None]
    x = _coordinates(width)[None, None, :]
    heights = np.linspace(-0.8, 0.8, SLICES, dtype=np.float32)[:, None, None]
    body = _Ellipsoid(draw, place=0.1, radii=(0.8, 1.1), lowest=1.5)
    magnitude = 0.4 * body.cover(heights, y, x)
    for number in range(_ELLIPSOIDS):
        inner = _Ellipsoid(draw, place=0.7, radii=(0.08, 0.5), lowest=0.5)
        light = float(draw(-0.3, 0.6, 1)[0])
        texture = _texture(draw, y, x) if number % 2 else np.float32(1)
        magnitude += light * inner.cover(heights, y, x) * texture
    noise = draw.normal(2, SLICES, ROWS, width) * np.float32(_NOISE)
    return np.abs(magnitude) * _coil(draw, y, x) + noise[0] + 1j * noise[1]


def _coordinates(length: int) -> np.ndarray:
    """Of the pixels along an axis."""
    middle = np.float32(length - 1) / 2
    return (np.arange(length, dtype=np.float32) - middle) / np.float32(SIZE / 2)


class _Ellipsoid:
    """An ellipsoid at random: its centre up to `place` away, turned about the axis."""

    def __init__(
        self, draw: RawDraws, place: float, radii: tuple[float, float], lowest: float
    ):
        self._centre = draw(-place, place, 3)
        self._radii = draw(*radii, 2)
        self._half_height = draw(lowest, 2 * lowest, 1)[0]
        self._angle = draw(0, np.pi, 1)[0]

    def cover(self, heights: Field, y: Field, x: Field) -> Field:
        """How much of each pixel it covers, in slices at these heights: 0 to 1."""
        z = (heights - self._centre[0]) / self._half_height
        radius = np.sqrt(np.maximum(1 - z * z, 0))
        cos, sin = np.cos(self._angle), np.sin(self._angle)
        dy, dx = y - self._centre[1], x - self._centre[2]
        u = (cos * dx + sin * dy) / self._radii[0]
        v = (cos * dy - sin * dx) / self._radii[1]
        depth = (radius - np.hypot(u, v)) * self._radii.min()
        # Edges are one pixel soft.
        return np.clip(depth * (SIZE / 2) + 0.5, 0, 1).astype(np.float32)


def _texture(draw: RawDraws, y: Field, x: Field) -> Field:
    """Waves three to eight pixels long, about 1."""
    waves = np.zeros((1, y.shape[1], x.shape[2]), np.float32)
    for _ in range(_WAVES):
        length, angle, phase = draw(0, 1, 3)
        turns = (SIZE / 2) / (3 + 5 * length)
        along = np.cos(np.pi * angle) * x + np.sin(np.pi * angle) * y
        waves += np.sin(2 * np.pi * (turns * along + phase))
    return 1 + waves / _WAVES


def _coil(draw: RawDraws, y: Field, x: Field) -> np.ndarray:
    """Sensitivity, complex [1, row, column]: brighter on one side, phases turn."""
    gain_y, gain_x = draw(-0.25, 0.25, 2)
    first, slope_y, slope_x, bend = draw(-1.5, 1.5, 4)
    phase = first + slope_y * y + slope_x * x + bend * x * y
    return (1 + gain_y * y + gain_x * x) * np.exp(1j * phase)
