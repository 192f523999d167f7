"""A prepared ImageNet of a few images that tell which one they are."""

import io
from collections.abc import Collection, Mapping
from pathlib import Path

import image_files as raw
import numpy as np
from PIL import Image

from algoperf.facts import Split
from algoperf.prepare.run import prepare

CLASSES = raw.CLASSES[:3]
PER_CLASS = (4, 4, 3)  # training images
EXAMPLES: Mapping[Split, int] = {
    "train": sum(PER_CLASS),
    "eval_train": 5,
    "validation": 7,
    "test": 6,
}
CMYK, PNG = 1, 2  # what else than an RGB JPEG the second and third of a split are
_BRIGHTNESS_STEP = 20


def picture(number: int) -> np.ndarray:
    """A noisy image whose brightness goes up with its number, and its size varies."""
    random = np.random.default_rng(number)
    height, width = random.integers(40, 60, 2)
    noise = random.integers(-8, 9, (height, width, 1))
    grey = 20 + _BRIGHTNESS_STEP * number + noise
    return np.broadcast_to(grey, (height, width, 3)).astype(np.uint8)


def numbers_of(images: np.ndarray) -> list[int]:
    """Which pictures the images [batch, height, width, 3] are crops of."""
    brightness = images.mean(axis=(1, 2, 3))
    return np.rint((brightness - 20) / _BRIGHTNESS_STEP).astype(int).tolist()


def encoded(number: int) -> bytes:
    """The file of a picture; like ImageNet's, some are no RGB JPEG."""
    image, stream = Image.fromarray(picture(number)), io.BytesIO()
    if number == CMYK:
        image = image.convert("CMYK")
    image.save(stream, "PNG" if number == PNG else "JPEG", quality=95)
    return stream.getvalue()


def train_names() -> list[str]:
    """The file names of the training images, by their numbers."""
    return [f"{CLASSES[k]}_{i}.JPEG" for k, n in enumerate(PER_CLASS) for i in range(n)]


def validation_names() -> list[str]:
    return [f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(EXAMPLES["validation"])]


def validation_labels() -> list[str]:
    return [CLASSES[i % len(CLASSES)] for i in range(EXAMPLES["validation"])]


def v2_names() -> list[str]:
    return [f"{i % len(CLASSES)}/{i}.jpeg" for i in range(EXAMPLES["test"])]


def labels(split: str) -> list[int]:
    """The classes of the images of a split, by their numbers."""
    if split == "train":
        return [CLASSES.index(name.split("_")[0]) for name in train_names()]
    return [i % len(CLASSES) for i in range(EXAMPLES[split])]


def write(folder: Path, damaged: Collection[str] = ()) -> Path:
    """Prepares the images below `folder`; returns the data folder of ImageNet.

    Files named in `damaged` lack their last bytes.
    """

    def files(names: list[str], root: str = "") -> list[tuple[str, bytes]]:
        contents = [encoded(number) for number in range(len(names))]
        return [
            (root + name, content[:-40] if name in damaged else content)
            for name, content in zip(names, contents, strict=True)
        ]

    source = folder / "raw"
    source.mkdir(parents=True)
    (source / raw.TRAIN_TAR).write_bytes(raw.train_tar(dict(files(train_names()))))
    (source / raw.VALIDATION_TAR).write_bytes(raw.tar(files(validation_names())))
    (source / raw.V2_TAR).write_bytes(raw.tar(files(v2_names(), "v2/"), "w:gz"))
    prepare(
        raw.imagenet(
            classes=lambda: CLASSES,
            validation_labels=validation_labels,
            train=EXAMPLES["train"],
            validation=EXAMPLES["validation"],
            v2=EXAMPLES["test"],
        ),
        source,
        folder / "data",
        lambda line: None,
    )
    return folder / "data" / "imagenet"
