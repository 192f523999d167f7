"""MNIST is read from idx files and from TFDS, and damaged files are named."""

import gzip
import shutil
from pathlib import Path

import mnist_files
import numpy as np
import pytest

from algoperf.facts import UserError
from workloads.loading import load
from workloads.mnist import data
from workloads.mnist.data import read_idx
from workloads.tfds_layout import tfds_order

TRAIN_IMAGES = "train-images-idx3-ubyte"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A folder with the four idx files, not to be changed."""
    return mnist_files.write_idx(tmp_path_factory.mktemp("plain") / "mnist")


@pytest.fixture
def copy(plain, tmp_path) -> Path:
    """The same, to be damaged."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file in plain.iterdir():
        (folder / file.name).hardlink_to(file)
    return folder


def replace(folder: Path, name: str, content: bytes) -> None:
    (folder / name).unlink()  # a hard link: the original stays as it is
    (folder / name).write_bytes(content)


def assert_is_mnist(arrays: data.Arrays, distinct: int, idx: bool = True) -> None:
    assert {split: len(part["inputs"]) for split, part in arrays.items()} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }
    images = mnist_files.images(60_000)
    images[..., 0, 1] *= distinct > 250
    labels = mnist_files.labels(60_000)
    order = {
        split: tfds_order(split, count) if idx else np.arange(count)
        for split, count in (("train", 60_000), ("test", 10_000))
    }
    order["validation"] = order["train"][50_000:]
    order["train"] = order["train"][:50_000]
    for split, rows in order.items():
        assert arrays[split]["inputs"].dtype == np.uint8
        np.testing.assert_array_equal(arrays[split]["inputs"], images[rows])
        np.testing.assert_array_equal(arrays[split]["targets"], labels[rows])


def test_the_last_10_000_training_images_are_the_validation_set(plain):
    assert_is_mnist(data.load(plain), distinct=60_000)


def test_gzipped_files_hold_the_same(tmp_path):
    folder = mnist_files.write_idx(tmp_path / "mnist", zipped=True)
    assert {file.suffix for file in folder.iterdir()} == {".gz"}
    assert_is_mnist(data.load(folder), distinct=60_000)


def test_tfds_holds_the_same_and_damage_to_it_is_reported(tmp_path):
    folder = mnist_files.write_tfds(tmp_path / "mnist")
    assert_is_mnist(data.load(folder), distinct=250, idx=False)
    (shard,) = (folder / "3.0.1").glob("mnist-train*")
    shard.write_bytes(shard.read_bytes()[:50_000])
    load("mnist", tmp_path)  # whether a file is whole shows when it is read
    with pytest.raises(UserError, match="cannot be read as TFDS ArrayRecord") as info:
        data.load(folder)
    assert str(folder) in str(info.value)
    assert "file_format='array_record'" in str(info.value)


def test_idx_files_are_used_where_tfds_has_left_an_unfinished_folder(copy):
    (copy / "3.0.1").mkdir()
    batches = load("mnist", copy.parent).data.batches("validation", 4, seed=0)
    first = tfds_order("train", 60_000)[50_000:50_004]
    assert next(batches)["targets"].tolist() == (first % 10).tolist()


def test_pixels_are_scaled_as_algoperf_does_without_dividing_by_255(plain):
    workload = load("mnist", plain.parent)
    batch = next(workload.data.batches("validation", 4, seed=0))
    rows = tfds_order("train", 60_000)[50_000:50_004]
    raw = mnist_files.images(60_000)[rows, ..., None].astype(np.float64)
    assert raw.max() > 100  # not divided
    np.testing.assert_allclose(batch["inputs"], (raw - 0.1307) / 0.3081, rtol=1e-6)
    assert batch["inputs"].shape == (4, 28, 28, 1)
    assert batch["inputs"].dtype == np.float32
    assert batch["targets"].dtype == np.int32


def test_mnist_mini_divides_pixels_by_255():
    batch = next(load("mnist_mini").data.batches("test", 1_000, seed=0))
    pixels = batch["inputs"] * 0.3081 + 0.1307
    assert pixels.min() == pytest.approx(0, abs=1e-6)
    assert pixels.max() == pytest.approx(1, abs=1e-6)
    raw = data.load_subset()["test"]["inputs"]
    np.testing.assert_allclose(pixels[..., 0], raw / 255, atol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (0,)])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_idx_file_is_read_as_it_was_written(tmp_path, shape, zipped):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    content = mnist_files.idx(array)
    path = tmp_path / "array-ubyte"
    path.write_bytes(gzip.compress(content) if zipped else content)
    np.testing.assert_array_equal(read_idx(path), array)


GOOD = mnist_files.idx(np.arange(12, dtype=np.uint8).reshape(3, 4))
ZIPPED = gzip.compress(GOOD, mtime=0)
DAMAGED = {
    "empty": (b"", "is not an idx file of bytes: it begins with nothing"),
    "web page": (b"<html><body>", "it begins with 3c 68 74 6d, not with 00 00 08"),
    "floats": (
        b"\x00\x00\x0d" + GOOD[3:],
        "begins with 00 00 0d 02, not with 00 00 08",
    ),
    "three bytes": (GOOD[:3], "it begins with 00 00 08"),
    "too short": (GOOD[:-1], "has 11 values, but its header says 3 x 4"),
    "too long": (GOOD + b"\x00", "has 13 values, but its header says 3 x 4"),
    "zip cut": (ZIPPED[:-12], "cannot be read: "),
    "zip cut in its header": (ZIPPED[:5], "cannot be read: "),
    "zip with a wrong checksum": (ZIPPED[:-8] + bytes(8), "cannot be read: "),
    "zip with wrong bytes": (
        ZIPPED[:12] + b"\xff\xff" + ZIPPED[14:],
        "cannot be read: ",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_idx_file_is_reported(tmp_path, damage):
    content, expected = DAMAGED[damage]
    path = tmp_path / TRAIN_IMAGES
    path.write_bytes(content)
    with pytest.raises(UserError) as info:
        read_idx(path)
    assert str(path) in str(info.value)
    assert expected in str(info.value)
    assert str(info.value).endswith("; fetch it again")


@pytest.mark.parametrize("length", [4, 5, 8, 11])
def test_a_file_that_ends_in_its_header_is_reported(tmp_path, length):
    path = tmp_path / TRAIN_IMAGES
    path.write_bytes(GOOD[:length])
    with pytest.raises(UserError, match="fetch it again") as info:
        read_idx(path)
    assert "has -" not in str(info.value)


def test_a_wrong_count_of_images_is_reported(copy):
    replace(copy, TRAIN_IMAGES, mnist_files.idx(mnist_files.images(59_999)))
    with pytest.raises(UserError) as info:
        next(load("mnist", copy.parent).data.batches("train", 4, seed=0))
    assert "train has images (59999, 28, 28) and labels (60000,)" in str(info.value)
    assert "MNIST has (60000, 28, 28) and (60000,)" in str(info.value)


def test_labels_in_the_place_of_images_are_reported(copy):
    labels = (copy / "t10k-labels-idx1-ubyte").read_bytes()
    replace(copy, "t10k-images-idx3-ubyte", labels)
    with pytest.raises(UserError, match=r"t10k has images \(10000,\)"):
        data.load(copy)


def test_labels_that_are_no_digits_are_reported(copy):
    labels = bytearray((copy / "t10k-labels-idx1-ubyte").read_bytes())
    labels[-1] = 12
    replace(copy, "t10k-labels-idx1-ubyte", bytes(labels))
    with pytest.raises(UserError, match="t10k has the label 12, and digits are 0 to 9"):
        data.load(copy)


def test_a_missing_file_is_named_with_the_way_to_get_it(copy):
    (copy / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="is incomplete") as info:
        load("mnist", copy.parent)
    message = str(info.value)
    missing = "t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz"
    assert f"missing: {missing}. To get it: put the" in message
    assert str(copy) in message


def test_an_empty_folder_and_no_folder_are_reported(tmp_path):
    with pytest.raises(UserError, match="does not have the data of mnist"):
        load("mnist", tmp_path)
    with pytest.raises(UserError, match="mnist needs --data_dir"):
        load("mnist")


def test_another_train_file_does_not_stand_for_the_missing_one(copy):
    # What a browser leaves behind.
    shutil.move(copy / TRAIN_IMAGES, copy / f"{TRAIN_IMAGES}.gz.part")
    with pytest.raises(UserError, match=TRAIN_IMAGES):
        load("mnist", copy.parent)
