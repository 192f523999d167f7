"""Reads ImageNet's images, as bytes, at random from TFDS ArrayRecord shards."""

import bisect
import itertools
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from algoperf.facts import UserError
from workloads.tfds_layout import ARRAY_RECORD, Layout, example_type, read_layout

HOME_2012 = "imagenet2012/5.1.0"
HOME_V2 = "imagenet_v2/matched-frequency/3.0.0"
_HOMES = {
    "train": (HOME_2012, "train"),
    "validation": (HOME_2012, "validation"),
    "test": (HOME_V2, "test"),
}
# No reading ahead: records are asked for at random.
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
_SPARE_FILES = 256  # besides the shards, for the rest of the process


class EncodedImage(NamedTuple):
    """An image as the data set has it: JPEG, in one case of ImageNet PNG."""

    data: bytes
    label: int
    name: str


class ImageFiles:
    """The images of one split, by index; any number of threads may read at once.

    Opening reads the ends of the shards, not the images, and keeps all shards open.
    """

    def __init__(self, folder: Path, split: str):
        """Opens the split `train`, `validation` or `test` (ImageNet-V2) in `folder`.

        Raises:
          UserError: there is no such split, or a shard is missing, cut short, or has
            another number of images than `dataset_info.json` says.
        """
        if split not in _HOMES:
            raise UserError(f"no split {split!r}; there are: {', '.join(_HOMES)}.")
        home, stored = _HOMES[split]
        layout = _layout(folder, home, stored)
        lengths = layout.shard_lengths[stored]
        paths = [layout.shard(stored, index) for index in range(len(lengths))]
        _allow_open_files(len(paths))
        self._paths = paths
        self._readers = [
            _open(path, length) for path, length in zip(paths, lengths, strict=True)
        ]
        self._parse = example_type().FromString
        self._ends = list(itertools.accumulate(lengths))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> EncodedImage:
        """One image.

        Raises:
          IndexError: no image has this index.
          UserError: the shard is damaged there.
        """
        shard, row = self._locate(index)
        return self._decode(shard, self._read(shard, row))

    def read(self, indices: Sequence[int]) -> list[EncodedImage]:
        """Images in the order asked for.

        They are read one after the other: with records of this size the library's
        batched reads are no faster, and take twice the processor time.
        """
        return [self[index] for index in indices]

    def close(self) -> None:
        """Closes the shards."""
        for reader in self._readers:
            reader.close()

    def _locate(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self):,}")
        shard = bisect.bisect_right(self._ends, index)
        return shard, int(index) - (self._ends[shard - 1] if shard else 0)

    def _read(self, shard: int, row: int) -> bytes:
        try:
            return self._readers[shard].read([row])[0]
        except (IndexError, RuntimeError) as error:
            raise _damaged(self._paths[shard], f"record {row}: {error}") from None

    def _decode(self, shard: int, record: bytes) -> EncodedImage:
        try:
            feature = self._parse(record).features.feature
            return EncodedImage(
                data=feature["image"].bytes_list.value[0],
                label=feature["label"].int64_list.value[0],
                name=feature["file_name"].bytes_list.value[0].decode(),
            )
        except Exception as error:  # protobuf's is of no public class
            problem = f"no image, label and file_name in a record ({error})"
            raise _damaged(self._paths[shard], problem) from None


def _layout(folder: Path, relative: str, split: str) -> Layout:
    home = folder / relative
    layout = read_layout(home)
    name, *_, version = relative.split("/")
    if (layout.name, layout.version) != (name, version):
        raise UserError(
            f"{home} has {layout.name} {layout.version}, and should have {name} "
            f"{version}. Prepare it again: algoperf prepare."
        )
    if layout.file_format != ARRAY_RECORD:
        raise UserError(
            f"{home} has {layout.file_format} shards, which cannot be read at random. "
            "`algoperf prepare` converts them."
        )
    if not layout.shard_lengths.get(split):
        has = ", ".join(layout.shard_lengths) or "none"
        raise UserError(
            f"{home} has no split {split!r}; it has: {has}. Prepare it again: "
            "algoperf prepare."
        )
    return layout


def _open(path: Path, length: int):
    from array_record.python.array_record_module import ArrayRecordReader

    if not path.exists():
        raise _damaged(path, "it is missing")
    reader = ArrayRecordReader(str(path), _READER_OPTIONS)
    # The library reads a file that is cut short as one without records.
    found = reader.num_records() if reader.ok() else 0
    if found != length:
        raise _damaged(path, f"it has {found:,} images, and should have {length:,}")
    return reader


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path} is damaged: {problem}. `algoperf prepare --verify` finds all such "
        "files, and `algoperf prepare` makes them again."
    )


def _allow_open_files(count: int) -> None:
    """Raises the process's own limit of open files where the system allows it.

    TFDS makes 1,024 shards of the training set, and 1,024 is the usual limit.

    Raises:
      UserError: the system does not allow so many.
    """
    needed = count + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UserError(
            f"{count:,} shards have to be open at once, and this system allows "
            f"{hard:,} open files; raise it: ulimit -Hn {needed}."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
