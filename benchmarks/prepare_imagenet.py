"""Preparing ImageNet from its tar files, and reading the shards at random.

Tar files in the official form are written first, of synthetic JPEG of ImageNet's size.
Preparing them is compared with copying their bytes, as `cp` would; reading records in a
random order with reading as many bytes from plain files, one an image.

  python benchmarks/prepare_imagenet.py --images=4000
"""

import argparse
import io
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from image_pipeline import synthetic_jpeg

from algoperf.prepare.plan import RawFile
from algoperf.prepare.run import prepare
from workloads.imagenet.files import ImageFiles
from workloads.imagenet.prepare import (
    TRAIN_TAR,
    V2_TAR,
    VALIDATION_TAR,
    Sizes,
    preparation,
)

CLASSES = tuple(f"n{1000 + i:08d}" for i in range(20))
JPEGS = [synthetic_jpeg(seed) for seed in range(16)]
ImageFile = tuple[str, bytes]


def tar_of(files: Iterable[ImageFile]) -> bytes:
    """A tar file as bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def images(names: Iterable[str]) -> list[ImageFile]:
    return [(name, JPEGS[i % len(JPEGS)]) for i, name in enumerate(names)]


def write_raw(folder: Path, count: int) -> Sizes:
    """The three tar files: `count` training images, and a few of the others."""
    each = count // len(CLASSES)
    train = {c: images(f"{c}_{i}.JPEG" for i in range(each)) for c in CLASSES}
    inner = [(f"{name}.tar", tar_of(files)) for name, files in train.items()]
    (folder / TRAIN_TAR).write_bytes(tar_of(inner))
    validation = images(f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(20))
    (folder / VALIDATION_TAR).write_bytes(tar_of(validation))
    (folder / V2_TAR).write_bytes(tar_of(images(f"v2/{i}/{i}.jpeg" for i in range(20))))
    return Sizes(
        classes=lambda: CLASSES,
        validation_labels=lambda: CLASSES,
        train=each * len(CLASSES),
        validation=len(CLASSES),
        v2=20,
        raw=(RawFile(TRAIN_TAR), RawFile(VALIDATION_TAR)),
        raw_v2=(RawFile(V2_TAR),),
    )


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_preparing(folder: Path, sizes: Sizes) -> None:
    tar, copy = folder / "raw" / TRAIN_TAR, folder / "copy.tar"
    mb = tar.stat().st_size / 1e6
    copied = seconds(lambda: shutil.copyfile(tar, copy))
    made = seconds(
        lambda: prepare(
            preparation(sizes), folder / "raw", folder / "data", lambda line: None
        )
    )
    print(
        f"prepare: {sizes.train / made:,.0f} images/s, {mb / made:,.0f} MB/s "
        f"(ImageNet: {1_281_167 * made / sizes.train / 60:.0f} minutes); "
        f"a copy {mb / copied:,.0f} MB/s, ratio {made / copied:.2f}"
    )


def measure_reading(folder: Path, sizes: Sizes) -> None:
    shards = ImageFiles(folder / "data" / "imagenet", "train")
    plain = folder / "plain"
    plain.mkdir()
    for i in range(len(shards)):
        (plain / str(i)).write_bytes(shards[i].data)
    order = np.random.default_rng(0).permutation(len(shards))
    records_s = seconds(lambda: [shards[int(i)] for i in order])
    plain_s = seconds(lambda: [(plain / str(i)).read_bytes() for i in order])
    print(
        f"read at random, one thread: {sizes.train / records_s:,.0f} images/s; "
        f"plain files {sizes.train / plain_s:,.0f} images/s, "
        f"ratio {records_s / plain_s:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "raw").mkdir()
        sizes = write_raw(folder / "raw", parser.parse_args().images)
        measure_preparing(folder, sizes)
        measure_reading(folder, sizes)


if __name__ == "__main__":
    main()
