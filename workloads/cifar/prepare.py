"""Prepares CIFAR-10: the six binary files, or what TFDS has prepared."""

import functools
from pathlib import Path, PurePosixPath

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
from workloads import tar_members
from workloads.cifar.data import TEST_FILES, TFDS_VERSION, TRAIN_FILES, read_binary
from workloads.copied_files import copied
from workloads.tfds_source import tfds_source

# Size and checksum: TFDS, url_checksums/cifar10.txt.
ARCHIVE = RawFile(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
)
FILE_BYTES = 30_730_000
_SPLIT_OF = dict.fromkeys(TRAIN_FILES, "train") | dict.fromkeys(TEST_FILES, "test")


def preparation(
    archive: RawFile = ARCHIVE,
    file_bytes: int = FILE_BYTES,
    train: int = 50_000,
    test: int = 10_000,
) -> Preparation:
    """CIFAR-10; the arguments are for tests with smaller files."""
    unpacked = tuple(
        RawFile(name, file_bytes, how_to_get=archive.name) for name in _SPLIT_OF
    )
    return Preparation(
        folder="cifar10",
        summary="CIFAR-10",
        small=True,
        parts=(
            Part(
                "cifar10",
                {"train": train, "test": test},
                (
                    Source(
                        archive.name,
                        (archive,),
                        functools.partial(_from_archive, archive.name, file_bytes),
                        nothing_to_finish,
                    ),
                    Source("unpacked files", unpacked, _from_files, nothing_to_finish),
                    tfds_source(
                        f"cifar10/{TFDS_VERSION}", ("train", "test"), TFDS_VERSION
                    ),
                ),
            ),
        ),
    )


def _from_archive(archive: str, file_bytes: int, raw: Raw, folder: Path) -> list[Unit]:
    return [
        Unit(name, split, file_bytes, functools.partial(_unpack, raw[archive], name))
        for name, split in _SPLIT_OF.items()
    ]


def _unpack(archive: Path, wanted: str, target: Path) -> int:
    for name, content in tar_members.stream(archive):
        if PurePosixPath(name).name == wanted:
            target.write_bytes(content)
            return _count(target)
    raise UserError(f"{archive} has no {wanted} in it; fetch it again.")


def _from_files(raw: Raw, folder: Path) -> list[Unit]:
    return [
        copied(raw[name], folder, name, split, _count)
        for name, split in _SPLIT_OF.items()
    ]


def _count(path: Path) -> int:
    return len(read_binary(path)["targets"])
