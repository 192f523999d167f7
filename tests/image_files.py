"""Tiny raw image data sets in the formats of the official files."""

import io
import struct
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from algoperf.prepare.plan import Preparation, RawFile
from workloads.imagenet.prepare import Sizes, preparation

CLASSES = tuple(f"n{1000 + 7 * i:08d}" for i in range(6))
TRAIN_PER_CLASS, VALIDATION, V2_PER_CLASS = 3, 7, 2
TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
V2_TAR = "imagenetv2-matched-frequency.tar.gz"


def jpeg(number: int) -> bytes:
    """A small image, another one for every number."""
    pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def tar(files: Iterable[tuple[str, bytes]], mode: str = "w:") -> bytes:
    """A tar file with these files in this order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def train_images() -> dict[str, bytes]:
    """File name -> content, in the order of the classes."""
    return {
        f"{wnid}_{i}.JPEG": jpeg(10 * label + i)
        for label, wnid in enumerate(CLASSES)
        for i in range(TRAIN_PER_CLASS)
    }


def validation_images() -> dict[str, bytes]:
    return {
        f"ILSVRC2012_val_{i + 1:08d}.JPEG": jpeg(500 + i) for i in range(VALIDATION)
    }


def validation_labels() -> list[str]:
    """The class of each validation image, in the order of their names."""
    return [CLASSES[(2 * i + 1) % len(CLASSES)] for i in range(VALIDATION)]


def v2_images() -> dict[str, bytes]:
    """`class/name` -> content; class 5 comes before class 0, as folders may."""
    return {
        f"{label}/{label}{i}.jpeg": jpeg(900 + 10 * label + i)
        for label in reversed(range(len(CLASSES)))
        for i in range(V2_PER_CLASS)
    }


def train_tar(images: Mapping[str, bytes]) -> bytes:
    """A tar file of tar files; the classes are not in their sorted order."""
    wnids = sorted({name.split("_")[0] for name in images}, reverse=True)
    return tar(
        (
            f"{wnid}.tar",
            tar((n, image) for n, image in images.items() if n.startswith(wnid)),
        )
        for wnid in wnids
    )


def write_imagenet(folder: Path) -> Path:
    """Writes the three raw files into `folder`, and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRAIN_TAR).write_bytes(train_tar(train_images()))
    shuffled = sorted(validation_images().items(), key=lambda item: item[1])
    (folder / VALIDATION_TAR).write_bytes(tar(shuffled))
    root = "imagenetv2-matched-frequency-format-val"
    images = ((f"{root}/{name}", image) for name, image in v2_images().items())
    (folder / V2_TAR).write_bytes(tar(images, "w:gz"))
    return folder


def imagenet(**changes) -> Preparation:
    """The preparation of what `write_imagenet` writes."""
    sizes = {
        "classes": lambda: CLASSES,
        "validation_labels": validation_labels,
        "train": len(CLASSES) * TRAIN_PER_CLASS,
        "validation": VALIDATION,
        "v2": len(CLASSES) * V2_PER_CLASS,
        "raw": (RawFile(TRAIN_TAR), RawFile(VALIDATION_TAR)),
        "raw_v2": (RawFile(V2_TAR), RawFile(V2_TAR.removesuffix(".gz"))),
    }
    return preparation(Sizes(**{**sizes, **changes}))


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit: slow, and independent of the tables under test."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def tfrecord(records: Iterable[bytes]) -> bytes:
    """A TFRecord file: length, its checksum, content, its checksum."""

    def masked(data: bytes) -> bytes:
        crc = crc32c(data)
        rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
        return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)

    parts = []
    for record in records:
        length = struct.pack("<Q", len(record))
        parts += [length, masked(length), record, masked(record)]
    return b"".join(parts)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but what belongs to preparing itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("prepare.json", ".prepare.lock")
    }
