"""The on-disk layout of TFDS data sets, read and written without TensorFlow.

A folder `<data set>/[<config>/]<version>` holds `dataset_info.json`, `features.json`
and shards `<data set>-<split>.<format>-00000-of-00010`, whose records are serialized
`tf.train.Example` protos. TFDS itself is imported only to describe features.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.facts import UserError
from algoperf.records import write_json
from workloads.tfrecord import read_tfrecord

INFO = "dataset_info.json"
FEATURES = "features.json"
ARRAY_RECORD, TFRECORD = "array_record", "tfrecord"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
# JPEG does not compress further, and a record a group is what random access needs.
_WRITER_OPTIONS = "group_size:1,uncompressed"


@dataclass(frozen=True)
class Layout:
    """What `dataset_info.json` says: examples per shard, by split."""

    home: Path  # the folder that it is in
    name: str
    version: str
    file_format: str
    shard_lengths: Mapping[str, tuple[int, ...]]

    def check_is(self, name: str, version: str) -> None:
        """Raises UserError where it is another data set or version."""
        if (self.name, self.version) != (name, version):
            raise UserError(
                f"{self.home} has {self.name} {self.version}, and should have {name} "
                f"{version}. Prepare it again: algoperf prepare."
            )

    def shard(self, split: str, index: int, file_format: str = "") -> Path:
        """The file of one shard, as it is or as it would be in another format."""
        count = len(self.shard_lengths[split])
        file_format = file_format or self.file_format
        return self.home / shard_name(self.name, split, index, count, file_format)


def shard_name(
    name: str, split: str, index: int, count: int, file_format: str = ARRAY_RECORD
) -> str:
    """TFDS's name of a shard."""
    return f"{name}-{split}.{file_format}-{index:05d}-of-{count:05d}"


def read_layout(home: Path) -> Layout:
    """What a folder should hold.

    Raises:
      UserError: `dataset_info.json` is missing, damaged, or of another layout.
    """
    path = home / INFO
    try:
        info = json.loads(path.read_text())
        splits = {split["name"]: split for split in info["splits"]}
        for split in splits.values():
            if split.get("filepathTemplate", _TEMPLATE) != _TEMPLATE:
                raise UserError(
                    f"{path}: shards are called {split['filepathTemplate']!r}; only "
                    f"{_TEMPLATE!r} can be read. Prepare the data set again."
                )
        return Layout(
            home=home,
            name=info["name"],
            version=info["version"],
            file_format=info.get("fileFormat", TFRECORD),  # what old versions wrote
            shard_lengths={
                name: tuple(int(length) for length in split.get("shardLengths", ()))
                for name, split in splits.items()
            },
        )
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: the data set is not prepared, or not to its end."
        ) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}: {error}); prepare it again."
        ) from None


def example_type() -> Any:
    """The class of the proto tf.train.Example, as TFDS brings it."""
    # Here, and not above: TFDS takes a while to import.
    from tensorflow_datasets.proto import tf_example_pb2

    proto: Any = tf_example_pb2
    return proto.Example


def read_records(path: Path, file_format: str) -> Iterator[bytes]:
    """The records of a shard, in order.

    Raises:
      UserError: the shard is damaged.
    """
    if file_format == TFRECORD:
        yield from read_tfrecord(path)
    elif file_format == ARRAY_RECORD:
        yield from _read_array_record(path)
    else:
        raise UserError(
            f"{path} is in the format {file_format!r}; {ARRAY_RECORD} and {TFRECORD} "
            "can be read. Prepare the data set again in one of these."
        )


def _read_array_record(path: Path) -> Iterator[bytes]:
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path))
    try:
        count = reader.num_records()
        if not reader.ok() or not count:
            raise UserError(f"{path} is no whole ArrayRecord file; prepare it again.")
        step = 64  # records in memory at a time
        for start in range(0, count, step):
            yield from reader.read(list(range(start, min(start + step, count))))
    except RuntimeError as error:
        raise UserError(f"{path} is damaged: {error}; prepare it again.") from None
    finally:
        reader.close()


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Writes a shard, and returns how many records are in it.

    The same records give the same bytes.

    Raises:
      OSError: the disk is full (ENOSPC), or another trouble of the disk (EIO).
    """
    from array_record.python.array_record_module import (
        ArrayRecordReader,
        ArrayRecordWriter,
    )

    try:
        writer = ArrayRecordWriter(str(path), _WRITER_OPTIONS)
        count = 0
        for record in records:
            writer.write(record)
            count += 1
        writer.close()
    except RuntimeError as error:  # the library has no other exceptions
        full = "No space left" in str(error) or "Disk quota" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from None
    reader = ArrayRecordReader(str(path))
    found = reader.num_records()
    reader.close()
    if found != count:
        raise OSError(errno.EIO, f"{found} of {count} records are in {path}")
    return count


def write_info(
    home: Path,
    name: str,
    version: str,
    features: Any,
    shards: Mapping[str, Sequence[tuple[int, int]]],
    config: str = "",
) -> None:
    """Writes `features.json`, its lists of labels, and last `dataset_info.json`.

    `features` is a TFDS FeaturesDict; `shards` has (examples, bytes) of every shard,
    by split.
    """
    features.save_config(home)
    splits = [
        {
            "filepathTemplate": _TEMPLATE,
            "name": split,
            "numBytes": str(sum(size for _, size in rows)),
            "shardLengths": [str(examples) for examples, _ in rows],
        }
        for split, rows in shards.items()
    ]
    info = {"name": name, "version": version, "fileFormat": ARRAY_RECORD}
    if config:
        info["configName"] = config
    write_json(home / INFO, {**info, "splits": splits})


def descriptions(home: Path) -> list[Path]:
    """The files that describe features: `features.json` and lists of labels."""
    return sorted([*home.glob(FEATURES), *home.glob("*.labels.txt")])


def convert_info(source: Path, home: Path, splits: Sequence[str]) -> None:
    """Copies the description of a data set for shards that are ArrayRecord now.

    Splits that were not converted leave it. `dataset_info.json` is written last.
    """
    if source.resolve() != home.resolve():
        for path in descriptions(source):
            shutil.copyfile(path, home / path.name)
    info = json.loads((source / INFO).read_text())
    info["fileFormat"] = ARRAY_RECORD
    info["splits"] = [
        {**split, "filepathTemplate": _TEMPLATE}
        for split in info["splits"]
        if split["name"] in splits
    ]
    write_json(home / INFO, info)


def tfds_order(split: str, count: int) -> np.ndarray:
    """Where TFDS takes its examples from, int [count].

    TFDS sorts the examples of a split by the MD5 of the split's name and the
    example's key, which for MNIST and CIFAR-10 is its number.
    """
    hashes = [hashlib.md5(f"{split}{i}".encode()).digest() for i in range(count)]
    return np.asarray(sorted(range(count), key=hashes.__getitem__))


def in_tfds_order(split: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays in the order of their files, in that of TFDS.

    AlgoPerf's validation sets are the last training examples in this order.
    """
    order = tfds_order(split, len(next(iter(arrays.values()))))
    return {name: array[order] for name, array in arrays.items()}
