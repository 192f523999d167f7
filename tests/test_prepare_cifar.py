"""CIFAR-10 from its binary files, and from TFDS."""

import gzip
import hashlib
import io
import json
import tarfile

import image_files
import numpy as np
import pytest
from PIL import Image

from algoperf.facts import UserError
from algoperf.prepare.plan import RawFile
from algoperf.prepare.run import prepare
from workloads.cifar import data as cifar
from workloads.cifar.prepare import preparation as cifar_preparation
from workloads.tfds_layout import tfds_order

NAMES = [*cifar.TRAIN_FILES, *cifar.TEST_FILES]


def quietly(preparation, raw_dir, data_dir, **options):
    prepare(preparation, raw_dir, data_dir, lambda line: None, **options)


def records(name: str, count: int) -> np.ndarray:
    """CIFAR-10 records whose first pixels tell which one it is; uint8 [count, 3073]."""
    content = np.zeros((count, 3073), np.uint8)
    content[:, 0] = np.arange(count) % 10
    content[:, 1] = NAMES.index(name)  # red, first row, first column
    content[:, 1 + 1024], content[:, 1 + 2048] = np.divmod(np.arange(count), 256)
    content[:, 1 + 33] = 7  # red, second row, second column
    return content


def archive(count: int) -> bytes:
    """cifar-10-binary.tar.gz with so many images in every file."""
    files = [("cifar-10-batches-bin/readme.html", b"...")]
    files += [
        (f"cifar-10-batches-bin/{name}", records(name, count).tobytes())
        for name in NAMES
    ]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def small_cifar(count: int = 20, content: bytes = b""):
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}" if content else ""
    file = RawFile("cifar-10-binary.tar.gz", len(content) or None, digest, "http://x/y")
    return cifar_preparation(file, count * 3073, 5 * count, count)


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """A folder with all 60,000 images."""
    folder = tmp_path_factory.mktemp("cifar10")
    for name in NAMES:
        records(name, 10_000).tofile(folder / name)
    return folder


# CIFAR-10.


def test_cifar_is_unpacked_from_the_archive(tmp_path):
    content = archive(20)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/cifar-10-binary.tar.gz").write_bytes(content)
    quietly(small_cifar(20, content), tmp_path / "raw", tmp_path)
    for name in NAMES:
        found = (tmp_path / "cifar10" / name).read_bytes()
        assert found == records(name, 20).tobytes()


@pytest.mark.parametrize("place", ["raw/cifar-10-batches-bin", "cifar10"])
def test_cifar_files_that_are_unpacked_are_taken(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    for name in NAMES:
        records(name, 20).tofile(tmp_path / place / name)
    quietly(small_cifar(), tmp_path / "raw", tmp_path)
    assert sorted(image_files.files_of(tmp_path / "cifar10")) == NAMES


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda content: content[:-1], "which is no multiple of 3,073"),
        (
            lambda content: b"\x0a" + content[1:],
            "has the label 10, and labels are 0 to 9",
        ),
        (
            lambda content: content[3073:],
            "has 99 examples in train, and should have 100",
        ),
    ],
)
def test_damaged_cifar_files_are_refused(tmp_path, change, text):
    (tmp_path / "raw").mkdir()
    for name in NAMES:
        content = records(name, 20).tobytes()
        (tmp_path / "raw" / name).write_bytes(
            change(content) if "3" in name else content
        )
    with pytest.raises(UserError, match=text):
        quietly(small_cifar(), tmp_path / "raw", tmp_path, skip_checksums=True)


def test_an_archive_without_a_file_is_refused(tmp_path):
    (tmp_path / "raw").mkdir()
    some = image_files.tar([("x/data_batch_1.bin", records(NAMES[0], 20).tobytes())])
    (tmp_path / "raw/cifar-10-binary.tar.gz").write_bytes(gzip.compress(some))
    with pytest.raises(UserError, match=r"has no data_batch_2.bin in it"):
        quietly(small_cifar(), tmp_path / "raw", tmp_path)


def test_cifar_arrays_have_rows_columns_and_colours(binary):
    arrays = cifar.read_binary(binary / "data_batch_4.bin")
    image = arrays["inputs"][999]
    assert image.shape == (32, 32, 3)
    assert image[0, 0].tolist() == [3, 999 // 256, 999 % 256]
    assert image[1, 1].tolist() == [7, 0, 0]
    assert arrays["targets"][999] == 9


def test_cifar_splits_are_those_of_tfds(binary):
    """The order is what TFDS's own shuffler makes of the same keys."""
    from tensorflow_datasets.core.hashing import Hasher

    splits = cifar.load(binary)
    sizes = {split: arrays["inputs"].shape for split, arrays in splits.items()}
    assert sizes == {
        "train": (45_000, 32, 32, 3),
        "validation": (5_000, 32, 32, 3),
        "test": (10_000, 32, 32, 3),
    }
    hasher = Hasher("train")
    keys = sorted(range(50_000), key=hasher.hash_key)
    pixels = np.concatenate(
        [splits[s]["inputs"][:, 0, 0] for s in ("train", "validation")]
    )
    numbers = pixels.astype(int) @ [10_000, 256, 1]
    np.testing.assert_array_equal(numbers, keys)
    targets = np.concatenate([splits[s]["targets"] for s in ("train", "validation")])
    np.testing.assert_array_equal(targets, np.asarray(keys) % 10)


def test_the_order_is_what_tfds_writes(tmp_path):
    from tensorflow_datasets.core.shuffle import Shuffler

    shuffler = Shuffler(dirpath=tmp_path, hash_salt="test", disable_shuffling=False)
    for number in range(500):
        shuffler.add(number, str(number).encode())
    written = [int(content) for _, content in shuffler]
    np.testing.assert_array_equal(tfds_order("test", 500), written)


def test_a_missing_cifar_file_is_named(tmp_path):
    records("test_batch.bin", 10_000).tofile(tmp_path / "test_batch.bin")
    with pytest.raises(
        UserError, match=r"data_batch_1.bin cannot be read: No such file"
    ):
        cifar.load(tmp_path)
    records(NAMES[0], 5).tofile(tmp_path / NAMES[0])
    records(NAMES[1], 10_000).tofile(tmp_path / NAMES[1])
    for name in NAMES[2:5]:
        (tmp_path / name).symlink_to(tmp_path / NAMES[1])
    with pytest.raises(UserError, match="has 5 images, and should have 10,000"):
        cifar.load(tmp_path)


def write_cifar_tfds(home, counts, label=2):
    """`home` as TFDS leaves it in TFRecord; one image is enough for all."""
    from tensorflow_datasets.proto import tf_example_pb2

    home.mkdir(parents=True)
    pixels = records(NAMES[0], 3)[2, 1:].reshape(3, 32, 32).transpose(1, 2, 0)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    example = tf_example_pb2.Example()
    feature = example.features.feature
    feature["image"].bytes_list.value.append(png.getvalue())
    feature["label"].int64_list.value.append(label)
    feature["id"].bytes_list.value.append(b"train_00002")
    record = image_files.tfrecord([example.SerializeToString()])
    for split, count in counts.items():
        path = home / f"cifar10-{split}.tfrecord-00000-of-00001"
        path.write_bytes(record * count)
    splits = [{"name": s, "shardLengths": [str(n)]} for s, n in counts.items()]
    info = {"name": "cifar10", "version": "3.0.2", "splits": splits}
    (home / "dataset_info.json").write_text(json.dumps(info))
    (home / "features.json").write_text("{}")


def test_cifar_of_tfds_is_converted_and_read(tmp_path, monkeypatch):
    write_cifar_tfds(tmp_path / "raw/cifar10/3.0.2", {"train": 100, "test": 20})
    home = tmp_path / "raw/cifar10/3.0.2"
    with pytest.raises(UserError, match="tfrecord shards; `algoperf prepare` converts"):
        cifar.load(home.parent)
    quietly(small_cifar(), tmp_path / "raw", tmp_path)
    read = cifar._read_tfds(tmp_path / "cifar10/3.0.2", "train", 100)
    assert read["inputs"].shape == (100, 32, 32, 3)
    assert read["inputs"][50, 0, 0].tolist() == [0, 0, 2]
    assert read["targets"].tolist() == [2] * 100
    with pytest.raises(
        UserError, match="has 100 images in train, and should have 50,000"
    ):
        cifar.load(tmp_path / "cifar10")


def test_another_data_set_in_the_place_of_cifar_is_refused(tmp_path):
    home = tmp_path / "cifar10/3.0.2"
    write_cifar_tfds(home, {"train": 100, "test": 20}, label=57)
    quietly(small_cifar(), tmp_path, tmp_path)
    with pytest.raises(
        UserError, match=r"3\.0\.2 has the label 57, and labels are 0 to"
    ):
        cifar._read_tfds(home, "train", 100)
    path = home / "dataset_info.json"
    path.write_text(path.read_text().replace('"cifar10"', '"cifar100"'))
    with pytest.raises(
        UserError, match=r"has cifar100 3\.0\.2, and should have cifar10"
    ):
        cifar._read_tfds(home, "train", 100)
