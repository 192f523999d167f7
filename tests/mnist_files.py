"""Writes folders with the shape of MNIST: what tests put into them is made up."""

import gzip
import io
from pathlib import Path

import numpy as np

SIZES = {"train": 60_000, "t10k": 10_000}


def images(count: int) -> np.ndarray:
    """Dark images whose first two pixels tell which one it is."""
    pixels = np.zeros((count, 28, 28), np.uint8)
    pixels[:, 0, 1], pixels[:, 0, 0] = np.divmod(np.arange(count), 250)
    return pixels


def labels(count: int) -> np.ndarray:
    """Digits in turn."""
    return (np.arange(count) % 10).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """A uint8 array in idx format: 0, 0, 8, rank, big-endian sizes, values."""
    sizes = np.asarray(array.shape, ">u4").tobytes()
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def write_idx(folder: Path, zipped: bool = False) -> Path:
    """Writes the four idx files into `folder`, and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, count in SIZES.items():
        for name, array in (
            (f"{stem}-images-idx3-ubyte", images(count)),
            (f"{stem}-labels-idx1-ubyte", labels(count)),
        ):
            content = idx(array)
            if zipped:
                name, content = f"{name}.gz", gzip.compress(content, compresslevel=1)
            (folder / name).write_bytes(content)
    return folder


def write_tfds(folder: Path) -> Path:
    """Writes `folder`/3.0.1 as TFDS would, without TensorFlow; returns `folder`.

    The images repeat after 250 of them: one PNG each is enough, which saves seconds.
    """
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from PIL import Image

    home = folder / "3.0.1"
    home.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(28, 28, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    records = []
    for pixels, label in zip(images(250), labels(250), strict=True):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        stream.seek(0)
        example = features.encode_example({"image": stream, "label": int(label)})
        records.append(features.serialize_example(example))
    splits = []
    for split, count in (("train", 60_000), ("test", 10_000)):
        template = tfds.core.ShardedFileTemplate(
            data_dir=home,
            dataset_name="mnist",
            split=split,
            filetype_suffix="array_record",
        )
        path = template.sharded_filepath(shard_index=0, num_shards=1)
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for i in range(count):
            writer.write(records[i % 250])
        writer.close()
        splits.append(tfds.core.SplitInfo(split, [count], 0, template))
    identity = tfds.core.DatasetIdentity(
        name="mnist", version="3.0.1", data_dir=str(home), module_name=""
    )
    info = tfds.core.DatasetInfo(builder=identity, features=features)
    info.set_file_format("array_record")
    info.set_splits(tfds.core.SplitDict(splits))
    info.write_to_directory(home)
    return folder
