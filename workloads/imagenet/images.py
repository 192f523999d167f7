"""From the bytes of an image file to the uint8 image that goes to the device."""

import numpy as np

from workloads.imagenet import jpeg
from workloads.imagenet.crops import IMAGENET_CROPS, eval_box, training_box
from workloads.imagenet.randaugment import NUM_DRAWS, randaugment
from workloads.imagenet.random_draws import below, example_draws
from workloads.imagenet.resize import resize_to_uint8

IMAGE_SIZE = 224


def train_image(
    data: bytes,
    name: str,
    *,
    seed: int,
    epoch: int,
    example: int,
    size: int = IMAGE_SIZE,
    with_randaugment: bool = False,
    strict: bool = False,
) -> np.ndarray:
    """A random crop, resized, mirrored every other time, and augmented if asked for.

    Args:
      data: a JPEG or PNG file.
      name: of the file, for errors.
      seed: of the trial.
      epoch: how often the example was seen before.
      example: its number in the data set.
      size: height and width of the result in pixels.
      with_randaugment: whether to apply RandAugment too.
      strict: decode below the crop too, where damage would not be noticed otherwise.

    Returns:
      uint8 [size, size, 3], the same for the same seed, epoch and example.

    Raises:
      CorruptImage: the file is damaged or cut short.
    """
    num_crop = IMAGENET_CROPS.num_draws
    draws = example_draws(seed, epoch, example, num_crop + 1 + NUM_DRAWS)
    box = training_box(*jpeg.size(data, name), draws[:num_crop])
    mirror = below(draws[num_crop], 2) == 1
    rows = box.top + box.height
    pixels = jpeg.decode(data, name) if strict else jpeg.decode_top(data, name, rows)
    crop = pixels[box.top : rows, box.left : box.left + box.width]
    image = resize_to_uint8(crop, size, mirror)
    if with_randaugment:
        image = randaugment(image, draws[num_crop + 1 :], size / IMAGE_SIZE)
    return image


def eval_image(data: bytes, name: str, size: int = IMAGE_SIZE) -> np.ndarray:
    """The centre of an image, resized, uint8 [size, size, 3].

    Raises:
      CorruptImage: the file is damaged or cut short.
    """
    pixels = jpeg.decode(data, name)
    box = eval_box(*pixels.shape[:2])
    rows = slice(box.top, box.top + box.height)
    columns = slice(box.left, box.left + box.width)
    return resize_to_uint8(pixels[rows, columns], size)
