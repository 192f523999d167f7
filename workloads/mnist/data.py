"""MNIST from the idx files, from TFDS ArrayRecord, or the bundled subset."""

import gzip
import importlib.resources
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.facts import UserError
from workloads.tfds_layout import in_tfds_order

MEAN, STDDEV = 0.1307, 0.3081  # of pixels in [0, 1]
NUM_TRAIN = 50_000  # the other 10,000 training images are the validation set

_UBYTE = 0x08  # the element type in an idx header
Arrays = dict[str, dict[str, np.ndarray]]


def load(folder: Path) -> Arrays:
    """Images uint8 [n, 28, 28] and labels uint8 [n] per split.

    The validation set are the last training images in the order that TFDS stores them
    in, from either kind of files.

    Raises:
      UserError: a file is damaged or does not hold what MNIST has.
    """
    if _file(folder, "t10k-images-idx3-ubyte").exists():
        train = in_tfds_order("train", _read_pair(folder, "train", 60_000))
        test = in_tfds_order("test", _read_pair(folder, "t10k", 10_000))
    else:
        train, test = _read_tfds(folder)
    return {
        "train": _rows(train, slice(None, NUM_TRAIN)),
        "validation": _rows(train, slice(NUM_TRAIN, None)),
        "test": test,
    }


def load_subset() -> Arrays:
    """The bundled 6,000 + 1,000 + 1,000 images."""
    file = importlib.resources.files("workloads.mnist") / "mnist_mini.npz"
    with file.open("rb") as stream, np.load(stream) as arrays:
        return {
            split: {
                "inputs": arrays[f"{split}_images"],
                "targets": arrays[f"{split}_labels"],
            }
            for split in ("train", "validation", "test")
        }


def normalise(raw: dict[str, np.ndarray], white: float = 1.0) -> dict[str, np.ndarray]:
    """Pixels 0 ... 255 to float32 [batch, 28, 28, 1], divided by `white` and scaled.

    AlgoPerf takes mean and deviation of pixels in [0, 1] but leaves the pixels
    undivided (white = 1), and its target for mnist goes with that.
    """
    pixels = raw["inputs"][..., None].astype(np.float32) / np.float32(white)
    return {
        "inputs": (pixels - np.float32(MEAN)) / np.float32(STDDEV),
        "targets": raw["targets"].astype(np.int32),
    }


def read_idx(path: Path) -> np.ndarray:
    """A uint8 array in idx format, gzipped or not.

    The header is 0, 0, the element type, the number of dimensions, and each
    dimension as a big-endian 32-bit integer.

    Raises:
      UserError: the file is not idx, or shorter or longer than its header says.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}; fetch it again") from None
    if len(content) < 4 or content[:3] != bytes((0, 0, _UBYTE)):
        raise UserError(
            f"{path} is not an idx file of bytes: it begins with "
            f"{content[:4].hex(' ') or 'nothing'}, not with 00 00 08; fetch it again"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise UserError(f"{path} ends within its header; fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4"))
    if len(content) - start != np.prod(shape):
        raise UserError(
            f"{path} has {len(content) - start:,} values, but its header says "
            f"{' x '.join(map(str, shape))}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_pair(folder: Path, stem: str, count: int) -> dict[str, np.ndarray]:
    images = read_idx(_file(folder, f"{stem}-images-idx3-ubyte"))
    labels = read_idx(_file(folder, f"{stem}-labels-idx1-ubyte"))
    _check(folder, stem, images, labels, count)
    return {"inputs": images, "targets": labels}


def _file(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.exists() else folder / f"{name}.gz"


def _read_tfds(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    # Imported here: TFDS is slow to import, and only needed for this format.
    import tensorflow_datasets as tfds

    parts = []
    for split, count in (("train", 60_000), ("test", 10_000)):
        try:
            source: Any = tfds.data_source(
                "mnist:3.0.1", split=split, data_dir=folder.parent, download=False
            )
            # Many records in one call: ten times faster than one by one.
            examples = source.__getitems__(range(len(source)))
        except Exception as error:
            raise UserError(
                f"{folder / '3.0.1'} cannot be read as TFDS ArrayRecord: {error}. "
                "Prepare it again with file_format='array_record'"
            ) from error
        images = np.stack([example["image"][..., 0] for example in examples])
        labels = np.asarray([example["label"] for example in examples], np.uint8)
        _check(folder, split, images, labels, count)
        parts.append({"inputs": images, "targets": labels})
    return parts[0], parts[1]


def _check(
    folder: Path, split: str, images: np.ndarray, labels: np.ndarray, count: int
) -> None:
    if images.shape != (count, 28, 28) or labels.shape != (count,):
        raise UserError(
            f"{folder}: {split} has images {images.shape} and labels {labels.shape}; "
            f"MNIST has ({count}, 28, 28) and ({count},). Fetch it again"
        )
    if labels.max() > 9:
        raise UserError(
            f"{folder}: {split} has the label {labels.max()}, and digits are 0 to 9. "
            "Fetch it again"
        )


def _rows(arrays: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}
