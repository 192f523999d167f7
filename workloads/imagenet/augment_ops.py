"""Operations of RandAugment on one image, uint8 [height, width, 3] to the same.

They follow AutoAugment's TensorFlow code (Cubuk et al. 2019) where Pillow differs:
blends cut decimals off, and geometric operations count coordinates from the centre of
the first pixel. Where float32 would leave a decimal to chance, the arithmetic is exact.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from PIL import Image

FILL = 128  # grey level of what an operation uncovers

# ITU-R BT.601 luma, four digits as in TensorFlow.
_LUMA = np.array([0.2989, 0.5870, 0.1140], np.float32)
_LEVELS = np.arange(256)

Affine = tuple[float, float, float, float, float, float]


def autocontrast(image: np.ndarray) -> np.ndarray:
    """Stretches each channel to 0 ... 255; a channel of one level stays as it is."""
    tables = np.empty((3, 256), np.uint8)
    for channel, counts in enumerate(_histograms(image)):
        present = np.flatnonzero(counts)
        lowest, highest = int(present[0]), int(present[-1])
        stretched = (_LEVELS - lowest) * 255 // max(1, highest - lowest)
        tables[channel] = stretched.clip(0, 255) if highest > lowest else _LEVELS
    return _look_up(image, tables)


def equalize(image: np.ndarray) -> np.ndarray:
    """Makes the levels of each channel about equally frequent.

    A level becomes the number of pixels below it in units of `step`, the number of
    pixels below the highest level over 255. With a step of 0 nothing changes.
    """
    tables = np.empty((3, 256), np.uint8)
    for channel, counts in enumerate(_histograms(image)):
        step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        if step == 0:
            tables[channel] = _LEVELS
            continue
        lower = np.cumsum(counts) - counts
        tables[channel] = ((lower + step // 2) // step).clip(0, 255)
    return _look_up(image, tables)


def invert(image: np.ndarray) -> np.ndarray:
    """The negative."""
    return 255 - image


def posterize(image: np.ndarray, bits: int) -> np.ndarray:
    """Keeps the `bits` highest bits."""
    return image & np.uint8(256 - (1 << (8 - bits)))


def solarize(image: np.ndarray, threshold: int) -> np.ndarray:
    """Inverts levels from `threshold` on: 0 inverts all of them."""
    table = np.where(threshold > _LEVELS, _LEVELS, 255 - _LEVELS)
    return np.take(table.astype(np.uint8), image)


def solarize_add(image: np.ndarray, addition: int, threshold: int = 128) -> np.ndarray:
    """Adds to levels below `threshold`."""
    added = (_LEVELS + addition).clip(0, 255)
    table = np.where(threshold > _LEVELS, added, _LEVELS)
    return np.take(table.astype(np.uint8), image)


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Moves from black (factor 0) past the image (factor 1)."""
    return np.take(_blend(np.zeros(256), _LEVELS, factor), image)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Moves from a grey (factor 0) past the image (factor 1).

    The grey is the number of pixels over 256, which is 196 for 224 x 224 pixels. It was
    meant to be the mean level: AutoAugment's code averages the histogram's counts.
    """
    grey = min(255, image.shape[0] * image.shape[1] // 256)
    return np.take(_blend(np.full(256, grey), _LEVELS, factor), image)


def color(image: np.ndarray, factor: float) -> np.ndarray:
    """Moves from the grey image (factor 0) past the image (factor 1)."""
    grey = grayscale(image)
    return _each_channel(image, lambda plane, _: _blend(grey, plane, factor))


def grayscale(image: np.ndarray) -> np.ndarray:
    """Luma, uint8 [height, width].

    TensorFlow scales [0, 1] by 255.5 and cuts the decimals off, which is between
    truncation and rounding.
    """
    luma = image.astype(np.float32) @ _LUMA
    luma *= np.float32(255.5 / 255)
    return luma.astype(np.uint8)


def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """Moves from a smoothed image (factor 0) past the image (factor 1).

    The smoothed one is the mean of 3 x 3 pixels, the middle one with weight 5. At the
    border it is the image.
    """
    smooth = image.copy()
    if min(image.shape[:2]) >= 3:
        wide = image.astype(np.uint16)
        lines = wide[:-2] + wide[1:-1] + wide[2:]
        total = lines[:, :-2] + lines[:, 1:-1] + lines[:, 2:]
        total += 4 * wide[1:-1, 1:-1]
        smooth[1:-1, 1:-1] = total // 13
    return _blend(smooth, image, factor)


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotates about the centre; a positive angle is counterclockwise."""
    height, width = image.shape[:2]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across, down = (width - 1) / 2, (height - 1) / 2
    return affine(
        image,
        (
            cosine,
            -sine,
            across - cosine * across + sine * down,
            sine,
            cosine,
            down - sine * across - cosine * down,
        ),
    )


def shear_x(image: np.ndarray, slope: float) -> np.ndarray:
    """Shifts row y by slope · y pixels to the left."""
    return affine(image, (1.0, slope, 0.0, 0.0, 1.0, 0.0))


def shear_y(image: np.ndarray, slope: float) -> np.ndarray:
    """Shifts column x by slope · x pixels up."""
    return affine(image, (1.0, 0.0, 0.0, slope, 1.0, 0.0))


def translate_x(image: np.ndarray, pixels: int) -> np.ndarray:
    """Shifts to the left."""
    result = np.full_like(image, FILL)
    into, source = _overlap(image.shape[1], pixels)
    result[:, into] = image[:, source]
    return result


def translate_y(image: np.ndarray, pixels: int) -> np.ndarray:
    """Shifts up."""
    result = np.full_like(image, FILL)
    into, source = _overlap(image.shape[0], pixels)
    result[into] = image[source]
    return result


def cutout(image: np.ndarray, row: int, column: int, half_size: int) -> np.ndarray:
    """Fills the square of 2 · half_size pixels around a pixel, where it is inside."""
    result = image.copy()
    rows = slice(max(0, row - half_size), row + half_size)
    columns = slice(max(0, column - half_size), column + half_size)
    result[rows, columns] = FILL
    return result


def affine(image: np.ndarray, matrix: Affine) -> np.ndarray:
    """Each pixel (x, y) becomes the input's nearest to (ax + by + c, dx + ey + f)."""
    source, uncovered = _nearest(*image.shape, matrix)
    result = image.reshape(-1).take(source)
    result[uncovered] = FILL
    return result.reshape(image.shape)


@functools.lru_cache(maxsize=16)  # 1.5 MB each for 224 x 224 pixels
def _nearest(
    height: int, width: int, channels: int, matrix: Affine
) -> tuple[np.ndarray, np.ndarray]:
    """Where each value comes from, and which ones come from outside of the image.

    RandAugment has six matrices, a sign and its opposite for each of three operations.
    """
    a, b, c, d, e, f = matrix
    x, y = np.arange(width), np.arange(height)[:, None]
    column, row = _round(a * x + b * y + c), _round(d * x + e * y + f)
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    pixel = np.where(outside, 0, row * width + column)
    source = (pixel[..., None] * channels + np.arange(channels)).reshape(-1)
    return source, np.flatnonzero(np.repeat(outside, channels))


def _round(values: np.ndarray) -> np.ndarray:
    """To the nearest integer, halves away from zero, as C rounds."""
    return (np.sign(values) * np.floor(np.abs(values) + 0.5)).astype(int)


def _blend(start: np.ndarray, end: np.ndarray, factor: float) -> np.ndarray:
    """start + factor · (end - start), clipped to 0 ... 255, decimals cut off."""
    difference = end.astype(np.float32) - start.astype(np.float32)
    difference *= np.float32(factor)
    difference += start
    return np.clip(difference, 0, 255, out=difference).astype(np.uint8)


def _histograms(image: np.ndarray) -> np.ndarray:
    """How often each level occurs in each channel, int [3, 256]."""
    # Pillow counts three times as fast as `np.bincount`.
    return np.array(Image.fromarray(image).histogram()).reshape(3, 256)


def _look_up(image: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Replaces levels by a table for each channel, uint8 [3, 256]."""
    return _each_channel(image, lambda plane, c: np.take(tables[c], plane))


def _each_channel(
    image: np.ndarray, change: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Changes one plane after another.

    NumPy is several times slower where it broadcasts over a last axis of length 3.
    """
    result = np.empty_like(image)
    for channel in range(image.shape[2]):
        result[..., channel] = change(image[..., channel], channel)
    return result


def _overlap(length: int, shift: int) -> tuple[slice, slice]:
    """What is left of a line shifted to its start: where it goes, where it was."""
    shift = max(-length, min(length, shift))
    into = slice(max(0, -shift), length - max(0, shift))
    return into, slice(max(0, shift), length - max(0, -shift))
