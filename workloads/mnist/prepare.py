"""Prepares MNIST: the four idx files, or what TFDS has prepared."""

import functools
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare.plan import (
    Part,
    Preparation,
    Raw,
    RawFile,
    Source,
    Unit,
    nothing_to_finish,
)
from workloads.copied_files import copied
from workloads.mnist.data import read_idx
from workloads.tfds_source import tfds_source

TFDS_VERSION = "3.0.1"
_ADDRESS = "https://storage.googleapis.com/cvdf-datasets/mnist/"
# Name -> the split it is counted for ("" where the images count), and its shape.
_SHAPES = {
    "train-images-idx3-ubyte": ("train", (60_000, 28, 28)),
    "train-labels-idx1-ubyte": ("", (60_000,)),
    "t10k-images-idx3-ubyte": ("test", (10_000, 28, 28)),
    "t10k-labels-idx1-ubyte": ("", (10_000,)),
}
# Bytes and SHA-256: TFDS, url_checksums/mnist.txt.
_PUBLISHED = {
    "train-images-idx3-ubyte": (
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte": (
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte": (
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte": (
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}
ZIPPED = tuple(
    RawFile(f"{stem}.gz", size, f"sha256:{digest}", url=f"{_ADDRESS}{stem}.gz")
    for stem, (size, digest) in _PUBLISHED.items()
)
PLAIN = tuple(RawFile(stem, how_to_get=f"gunzip {stem}.gz") for stem in _SHAPES)


def preparation(zipped: tuple[RawFile, ...] = ZIPPED) -> Preparation:
    """MNIST; `zipped` is for tests, whose files have other checksums."""
    return Preparation(
        folder="mnist",
        summary="MNIST",
        small=True,
        parts=(
            Part(
                "mnist",
                {"train": 60_000, "test": 10_000},
                (
                    _idx_source("gzipped idx files", zipped),
                    _idx_source("idx files", PLAIN),
                    tfds_source(
                        f"mnist/{TFDS_VERSION}", ("train", "test"), TFDS_VERSION
                    ),
                ),
            ),
        ),
    )


def _idx_source(what: str, files: tuple[RawFile, ...]) -> Source:
    units = functools.partial(_units, files)
    return Source(what, files, units, nothing_to_finish)


def _units(files: tuple[RawFile, ...], raw: Raw, folder: Path) -> list[Unit]:
    units = []
    for file in files:
        split, shape = _SHAPES[file.name.removesuffix(".gz")]
        count = functools.partial(_count, shape)
        units.append(copied(raw[file.name], folder, file.name, split, count))
    return units


def _count(shape: tuple[int, ...], path: Path) -> int:
    found = read_idx(path).shape
    if found != shape:
        raise UserError(
            f"{path.name} has the shape {found}, and should have {shape}; fetch it "
            "again."
        )
    return found[0]
