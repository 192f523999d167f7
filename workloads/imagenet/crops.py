"""Which part of an image is used, in training and in evaluation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workloads.imagenet.random_draws import below, unit

# The side of the evaluation crop over the shorter side of the image: 224 of 256.
EVAL_FRACTION = 224 / 256
_DRAWS_PER_ATTEMPT = 4


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class CropRange:
    """What random crops may be, as fractions of the image's area, and width / height.

    Crops smaller than `min_covered` are thrown away and drawn again.
    """

    min_area: float = 0.08
    max_area: float = 1.0
    min_aspect: float = 3 / 4
    max_aspect: float = 4 / 3
    min_covered: float = 0.1
    attempts: int = 10

    @property
    def num_draws(self) -> int:
        """How many draws `training_box` needs."""
        return self.attempts * _DRAWS_PER_ATTEMPT


IMAGENET_CROPS = CropRange()


def training_box(
    height: int, width: int, draws: Sequence[int], crops: CropRange = IMAGENET_CROPS
) -> Box:
    """A random part of an image, or its centre where that part would be all of it.

    Follows TensorFlow's `sample_distorted_bounding_box` for a bounding box around the
    whole image: the width / height is uniform in its range, then the height is uniform
    among those that give an allowed area. (Crops of Szegedy et al. 2015, "Going deeper
    with convolutions", section 6.)
    """
    for attempt in range(crops.attempts):
        first = attempt * _DRAWS_PER_ATTEMPT
        box = _sample(height, width, draws[first : first + _DRAWS_PER_ATTEMPT], crops)
        if box is None:
            continue
        if box.height * box.width < crops.min_covered * height * width:
            continue
        if (box.height, box.width) == (height, width):
            break
        return box
    return eval_box(height, width)


def eval_box(height: int, width: int) -> Box:
    """The square in the centre, with 224 / 256 of the shorter side."""
    side = max(1, int(EVAL_FRACTION * min(height, width)))
    return Box((height - side + 1) // 2, (width - side + 1) // 2, side, side)


def pad_crop_flip(
    images: np.ndarray, draws: np.ndarray, padding: int = 2
) -> np.ndarray:
    """CIFAR's augmentation: zeros around, a crop of the old size, mirrored or not.

    Args:
      images: uint8 [batch, height, width, channels].
      draws: uint64 [batch], one for each image (see `epoch_draws`).
      padding: pixels added on each side.

    Returns:
      uint8 [batch, height, width, channels].
    """
    batch, height, width, channels = images.shape
    around = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
    padded = np.pad(images, around)
    # Bits 0-20 choose the row, bits 21-41 the column, bit 63 the mirror.
    low, high = draws & 0x1FFFFF, draws >> 21 & 0x1FFFFF
    top, left = ((part * (2 * padding + 1) >> 21).astype(int) for part in (low, high))
    rows = top[:, None] + np.arange(height)
    across = np.arange(width)
    mirrored = (draws >> 63).astype(bool)
    columns = left[:, None] + np.where(mirrored[:, None], across[::-1], across)
    first_rows = np.arange(batch)[:, None] * padded.shape[1]
    pixels = (first_rows + rows)[:, :, None] * padded.shape[2] + columns[:, None, :]
    # A pixel is moved as one item, three times as fast as channel by channel.
    items = padded.view(np.dtype((np.void, channels))).reshape(-1)
    return items.take(pixels, mode="clip").view(np.uint8).reshape(images.shape)


def _sample(
    height: int, width: int, draws: Sequence[int], crops: CropRange
) -> Box | None:
    """One attempt at a random part, None if it does not fit."""
    lowest, highest = crops.min_aspect, crops.max_aspect
    aspect = lowest + unit(draws[0]) * (highest - lowest)
    min_area = crops.min_area * height * width
    max_area = crops.max_area * height * width
    tallest = min(round(math.sqrt(max_area / aspect)), height)
    if round(tallest * aspect) > width:
        tallest = int((width + 0.5) / aspect)
        if round(tallest * aspect) > width:
            tallest -= 1
    rows = min(round(math.sqrt(min_area / aspect)), tallest)
    rows += below(draws[1], tallest - rows + 1)
    columns = round(rows * aspect)
    # One row more or less makes good what rounding did to the area.
    if rows * columns < min_area:
        rows, columns = rows + 1, round((rows + 1) * aspect)
    if rows * columns > max_area:
        rows, columns = rows - 1, round((rows - 1) * aspect)
    fits = 0 < rows <= height and 0 < columns <= width
    if not fits or not min_area <= rows * columns <= max_area:
        return None
    # TensorFlow never draws the last possible place; neither do we.
    return Box(
        below(draws[2], max(1, height - rows)),
        below(draws[3], max(1, width - columns)),
        rows,
        columns,
    )
