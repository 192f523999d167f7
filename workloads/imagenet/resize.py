"""Bicubic interpolation without antialiasing, as small matrix products.

An output value depends on four inputs in a row. A block of neighbouring outputs depends
on few inputs too, so each block is one product with a small dense matrix: BLAS does
that several times faster than NumPy adds up four weighted copies.
"""

import functools
from typing import NamedTuple

import numpy as np

_BLOCK = 16  # outputs in a block: fewer are too many calls, more too many zeros
# OpenBLAS stays on the calling thread up to this many multiplications in a product.
_MAX_PRODUCT = 2**18


class _Block(NamedTuple):
    outputs: slice
    inputs: slice
    weights: np.ndarray  # float32 [inputs, outputs]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes to a square, float32 [size, size, channels], neither rounded nor clipped.

    Keys' cubic convolution with a = -1/2 (Keys 1981, "Cubic convolution interpolation
    for digital image processing", equation 15) with pixel centres at half-integers.
    Pixels outside of the image do not count; the others' weights are scaled to sum 1.

    Args:
      image: uint8 or float32 [height, width, channels].
      size: height and width of the result.
    """
    return np.ascontiguousarray(_resize_planes(image, size).transpose(1, 2, 0))


def resize_to_uint8(image: np.ndarray, size: int, mirror: bool = False) -> np.ndarray:
    """`resize`, clipped to [0, 255] and rounded half to even, uint8 [size, size, 3].

    Rounding moves a value by at most 0.5 of 255 levels; what the cubic overshoots
    beyond black or white is lost. `mirror` swaps left and right.
    """
    planes = _resize_planes(image, size)
    np.rint(planes, out=planes)
    np.clip(planes, 0, 255, out=planes)
    levels = planes.astype(np.uint8)
    result = np.empty((size, size, len(levels)), np.uint8)
    for channel, plane in enumerate(levels):
        result[..., channel] = plane[:, ::-1] if mirror else plane
    return result


def _resize_planes(image: np.ndarray, size: int) -> np.ndarray:
    """The resized image with channels in front, float32 [channels, size, size]."""
    height, width, channels = image.shape
    lines = image.astype(np.float32).reshape(height, width * channels)
    columns = _interpolate(lines, _blocks(height, size))  # [width * channels, size]
    columns = columns.reshape(width, channels * size)
    planes = _interpolate(columns, _blocks(width, size))  # [channels * size, size]
    return planes.reshape(channels, size, size)


def _interpolate(values: np.ndarray, blocks: tuple[_Block, ...]) -> np.ndarray:
    """Interpolates along the first axis and moves it last: [n, m] to [m, outputs]."""
    length = values.shape[1]
    result = np.empty((length, blocks[-1].outputs.stop), np.float32)
    step = max(1, _MAX_PRODUCT // max(block.weights.size for block in blocks))
    for outputs, inputs, weights in blocks:
        source = values[inputs].T
        for start in range(0, length, step):
            part = slice(start, start + step)
            np.matmul(source[part], weights, out=result[part, outputs])
    return result


@functools.lru_cache(maxsize=1024)  # about 30 kB each
def _blocks(length: int, size: int) -> tuple[_Block, ...]:
    """How to resize a line of `length` values to `size` of them."""
    inputs, weights = _taps(length, size)
    blocks = []
    for start in range(0, size, _BLOCK):
        outputs = slice(start, min(start + _BLOCK, size))
        first, stop = inputs[outputs].min(), inputs[outputs].max() + 1
        matrix = np.zeros((stop - first, outputs.stop - start), np.float32)
        column = np.arange(outputs.stop - start)[:, None]
        np.add.at(matrix, (inputs[outputs] - first, column), weights[outputs])
        blocks.append(_Block(outputs, slice(int(first), int(stop)), matrix))
    return tuple(blocks)


def _taps(length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which inputs each output is made of, and their weights, both [size, 4]."""
    centre = (np.arange(size) + 0.5) * (length / size) - 0.5
    inputs = np.floor(centre).astype(int)[:, None] + np.arange(-1, 3)
    distance = np.abs(centre[:, None] - inputs)
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    inside = (inputs >= 0) & (inputs < length)
    weights = np.where(distance <= 1, near, far) * inside
    weights /= weights.sum(axis=1, keepdims=True)
    return inputs.clip(0, length - 1), weights
