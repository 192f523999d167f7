"""Reads ImageNet's images, as bytes, at random from TFDS ArrayRecord shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from algoperf.facts import UserError
from workloads.record_files import RecordFiles, damaged_shard
from workloads.tfds_layout import example_type

HOME_2012 = "imagenet2012/5.1.0"
HOME_V2 = "imagenet_v2/matched-frequency/3.0.0"
_HOMES = {
    "train": (HOME_2012, "train"),
    "validation": (HOME_2012, "validation"),
    "test": (HOME_V2, "test"),
}


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
        name, *_, version = home.split("/")
        self._records = RecordFiles(folder / home, name, version, stored, "image")
        self._parse = example_type().FromString

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> EncodedImage:
        """One image.

        Raises:
          IndexError: no image has this index.
          UserError: the shard is damaged there.
        """
        record = self._records[index]
        try:
            feature = self._parse(record).features.feature
            return EncodedImage(
                data=feature["image"].bytes_list.value[0],
                label=feature["label"].int64_list.value[0],
                name=feature["file_name"].bytes_list.value[0].decode(),
            )
        except Exception as error:  # protobuf's is of no public class
            problem = f"no image, label and file_name in a record ({error})"
            raise damaged_shard(self._records.path(index), problem) from None

    def read(self, indices: Sequence[int]) -> list[EncodedImage]:
        """Images in the order asked for.

        They are read one after the other: with records of this size the library's
        batched reads are no faster, and take twice the processor time.
        """
        return [self[index] for index in indices]

    def close(self) -> None:
        """Closes the shards."""
        self._records.close()
