"""RandAugment (Cubuk et al. 2020): two random operations of fixed strength.

The strength is magnitude 10 of 10, as AlgoPerf's ViT has it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from workloads.imagenet import augment_ops as ops
from workloads.imagenet.random_draws import below

LAYERS = 2
DRAWS_PER_LAYER = 3
NUM_DRAWS = LAYERS * DRAWS_PER_LAYER

# At magnitude 10. Sizes in pixels are for images of 224 x 224.
_DEGREES = 30.0
_BITS = 4
# 256 does not fit 8 bits and became 0 in the reference: everything is inverted.
_SOLARIZE_THRESHOLD = 0
_FACTOR = 1.9
_SLOPE = 0.3
_SHIFT_PIXELS = 100
_CUTOUT_HALF_SIZE_PIXELS = 40
_ADDITION = 110


@dataclass(frozen=True)
class Choice:
    """What is random about an operation.

    `sign` is for the geometric ones, `row` and `column` are the centre of Cutout.
    `scale` multiplies sizes in pixels.
    """

    sign: int
    row: int
    column: int
    scale: float = 1.0

    def pixels(self, size: int) -> int:
        """A size at 224 x 224 pixels, for the images at hand."""
        return round(size * self.scale)


Operation = Callable[[np.ndarray, Choice], np.ndarray]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "AutoContrast": lambda image, _: ops.autocontrast(image),
        "Equalize": lambda image, _: ops.equalize(image),
        "Invert": lambda image, _: ops.invert(image),
        "Rotate": lambda image, it: ops.rotate(image, it.sign * _DEGREES),
        "Posterize": lambda image, _: ops.posterize(image, _BITS),
        "Solarize": lambda image, _: ops.solarize(image, _SOLARIZE_THRESHOLD),
        "Color": lambda image, _: ops.color(image, _FACTOR),
        "Contrast": lambda image, _: ops.contrast(image, _FACTOR),
        "Brightness": lambda image, _: ops.brightness(image, _FACTOR),
        "Sharpness": lambda image, _: ops.sharpness(image, _FACTOR),
        "ShearX": lambda image, it: ops.shear_x(image, it.sign * _SLOPE),
        "ShearY": lambda image, it: ops.shear_y(image, it.sign * _SLOPE),
        "TranslateX": lambda image, it: ops.translate_x(
            image, it.sign * it.pixels(_SHIFT_PIXELS)
        ),
        "TranslateY": lambda image, it: ops.translate_y(
            image, it.sign * it.pixels(_SHIFT_PIXELS)
        ),
        "Cutout": lambda image, it: ops.cutout(
            image, it.row, it.column, it.pixels(_CUTOUT_HALF_SIZE_PIXELS)
        ),
        "SolarizeAdd": lambda image, _: ops.solarize_add(image, _ADDITION),
    }
)
_NAMES = tuple(OPERATIONS)


def randaugment(
    image: np.ndarray, draws: Sequence[int], scale: float = 1.0
) -> np.ndarray:
    """Applies two of the sixteen operations, drawn with replacement.

    Args:
      image: uint8 [height, width, 3].
      draws: `NUM_DRAWS` random 64-bit integers.
      scale: of sizes in pixels: the image's side over 224.

    Returns:
      uint8 [height, width, 3].
    """
    height, width = image.shape[:2]
    for name, choice in choices(height, width, draws, scale):
        image = OPERATIONS[name](image, choice)
    return image


def choices(
    height: int, width: int, draws: Sequence[int], scale: float = 1.0
) -> list[tuple[str, Choice]]:
    """The operations for an image of this size, with what is random about them."""
    chosen = []
    for first in range(0, NUM_DRAWS, DRAWS_PER_LAYER):
        which, row, column = draws[first : first + DRAWS_PER_LAYER]
        # An operation has a sign or a centre, never both: they share a draw.
        choice = Choice(
            sign=1 if below(row, 2) else -1,
            row=below(row, height),
            column=below(column, width),
            scale=scale,
        )
        chosen.append((_NAMES[below(which, len(_NAMES))], choice))
    return chosen
