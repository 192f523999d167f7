"""CIFAR-10 from the binary files, or from TFDS ArrayRecord."""

import io
from pathlib import Path

import numpy as np

from algoperf.facts import UserError
from workloads.tfds_layout import (
    ARRAY_RECORD,
    example_type,
    in_tfds_order,
    read_layout,
    read_records,
)

NUM_TRAIN = 45_000  # the other 5,000 training images are the validation set
CLASSES = 10
PER_FILE = 10_000  # images in a binary file
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
TFDS_VERSION = "3.0.2"

_PIXELS = 3 * 32 * 32
_RECORD_BYTES = 1 + _PIXELS
Arrays = dict[str, dict[str, np.ndarray]]


def load(folder: Path) -> Arrays:
    """Images uint8 [n, 32, 32, 3] and labels uint8 [n] per split.

    AlgoPerf's validation set are the last 5,000 training images in the order that TFDS
    stores them in. The binary files are put into that order too, so both origins have
    the same images in every split.

    Raises:
      UserError: a file is missing, damaged, or does not hold what CIFAR-10 has.
    """
    if (folder / TEST_FILES[0]).exists():
        train = in_tfds_order("train", _read_files(folder, TRAIN_FILES))
        test = in_tfds_order("test", _read_files(folder, TEST_FILES))
    else:
        train = _read_tfds(folder / TFDS_VERSION, "train", 50_000)
        test = _read_tfds(folder / TFDS_VERSION, "test", 10_000)
    return {
        "train": _rows(train, slice(None, NUM_TRAIN)),
        "validation": _rows(train, slice(NUM_TRAIN, None)),
        "test": test,
    }


def read_binary(path: Path) -> dict[str, np.ndarray]:
    """The images and labels of a binary file.

    A record is the label, then the red, the green and the blue values, row by row.

    Raises:
      UserError: the file is missing, cut short, or has labels that are no classes.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) % _RECORD_BYTES or not len(content):
        raise UserError(
            f"{path} has {len(content):,} bytes, which is no multiple of "
            f"{_RECORD_BYTES:,}; fetch it again."
        )
    records = content.reshape(-1, _RECORD_BYTES)
    labels = records[:, 0]
    _check_labels(path, labels)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return {
        "inputs": np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        "targets": labels.copy(),
    }


def _read_files(folder: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    parts = [read_binary(folder / name) for name in names]
    for name, part in zip(names, parts, strict=True):
        if len(part["targets"]) != PER_FILE:
            raise UserError(
                f"{folder / name} has {len(part['targets']):,} images, and should have "
                f"{PER_FILE:,}; fetch it again."
            )
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _read_tfds(home: Path, split: str, count: int) -> dict[str, np.ndarray]:
    # Here, and not above: the binary files do without it.
    from PIL import Image

    parse = example_type().FromString
    layout = read_layout(home)
    layout.check_is("cifar10", TFDS_VERSION)
    if layout.file_format != ARRAY_RECORD:
        raise UserError(
            f"{home} has {layout.file_format} shards; `algoperf prepare` converts them."
        )
    images, labels = [], []
    for index in range(len(layout.shard_lengths.get(split, ()))):
        for record in read_records(layout.shard(split, index), ARRAY_RECORD):
            feature = parse(record).features.feature
            png = io.BytesIO(feature["image"].bytes_list.value[0])
            images.append(np.asarray(Image.open(png)))
            labels.append(feature["label"].int64_list.value[0])
    if len(images) != count:
        raise UserError(
            f"{home} has {len(images):,} images in {split}, and should have {count:,}; "
            "prepare it again."
        )
    _check_labels(home, np.asarray(labels))
    return {"inputs": np.stack(images), "targets": np.asarray(labels, np.uint8)}


def _check_labels(where: Path, labels: np.ndarray) -> None:
    if labels.max() >= CLASSES:
        raise UserError(
            f"{where} has the label {labels.max()}, and labels are 0 to {CLASSES - 1}; "
            "fetch it again."
        )


def _rows(arrays: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}
