"""Images to try RandAugment on, and its blend in integers."""

import numpy as np

from workloads.imagenet.randaugment import OPERATIONS, Choice


def picture(height: int = 23, width: int = 31) -> np.ndarray:
    """Channels of different, limited range, in patches with noise."""
    rng = np.random.default_rng(height * width)
    coarse = rng.uniform(0, 1, (height // 4 + 1, width // 4 + 1, 3))
    values = coarse.repeat(4, 0).repeat(4, 1)[:height, :width]
    values = values * [200, 90, 150] + [20, 60, 5] + rng.normal(0, 4, values.shape)
    return values.clip(0, 255).astype(np.uint8)


IMAGE = picture()
LARGE = picture(224, 224)
NOISE = np.random.default_rng(9).integers(0, 256, (40, 37, 3), dtype=np.uint8)


def apply(name: str, image: np.ndarray, sign: int = 1, **changes) -> np.ndarray:
    choice = {"sign": sign, "row": 100, "column": 30} | changes
    return OPERATIONS[name](image, Choice(**choice))


def blended(start: np.ndarray, end: np.ndarray, tenths: int) -> np.ndarray:
    """start + tenths / 10 · (end - start) in integers, decimals cut off."""
    mixed = 10 * start.astype(int) + tenths * (end.astype(int) - start.astype(int))
    return (mixed.clip(0, 2559) // 10).clip(0, 255).astype(np.uint8)
