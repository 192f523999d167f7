"""ImageNet from its raw tar files to the reader, and what can be wrong on the way."""

import io
import json
import tarfile

import image_files as raw
import numpy as np
import pytest
from PIL import Image

from algoperf.facts import UserError
from algoperf.prepare.plan import RawFile
from algoperf.prepare.run import prepare
from workloads.imagenet.files import HOME_2012, HOME_V2, ImageFiles


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data folder with ImageNet in it; tests only read it."""
    data_dir = tmp_path_factory.mktemp("data")
    source = raw.write_imagenet(tmp_path_factory.mktemp("raw"))
    prepare(raw.imagenet(), source, data_dir, lambda line: None)
    return data_dir / "imagenet"


def everything(files):
    return {
        image.name: (image.data, image.label) for image in files.read(range(len(files)))
    }


def test_training_images_are_copied_with_the_rank_of_their_class(prepared):
    wanted = {
        name: (image, sorted(raw.CLASSES).index(name.split("_")[0]))
        for name, image in raw.train_images().items()
    }
    assert everything(ImageFiles(prepared, "train")) == wanted


def test_validation_labels_go_by_the_order_of_the_names(prepared):
    wanted = {
        name: (image, raw.CLASSES.index(wnid))
        for (name, image), wnid in zip(
            raw.validation_images().items(), raw.validation_labels(), strict=True
        )
    }
    assert everything(ImageFiles(prepared, "validation")) == wanted


def test_test_images_have_the_number_of_their_folder_as_label(prepared):
    wanted = {
        name: (image, int(name.split("/")[0]))
        for name, image in raw.v2_images().items()
    }
    assert everything(ImageFiles(prepared, "test")) == wanted


@pytest.mark.parametrize(
    ("name", "home", "split"),
    [
        ("imagenet2012:5.1.0", HOME_2012, "train"),
        ("imagenet2012:5.1.0", HOME_2012, "validation"),
        ("imagenet_v2/matched-frequency:3.0.0", HOME_V2, "test"),
    ],
)
def test_tfds_reads_the_same(prepared, name, home, split):
    import tensorflow_datasets as tfds

    ours = ImageFiles(prepared, split)
    builder = tfds.builder_from_directory(prepared / home)
    by_name = tfds.data_source(name, split=split, data_dir=prepared)
    theirs = builder.as_data_source(split=split)
    assert len(theirs) == len(ours) == len(by_name)
    assert builder.info.features["label"].names == list(raw.CLASSES)
    for mine, example, other in zip(
        ours.read(range(len(ours))), theirs, by_name, strict=True
    ):
        pixels = np.asarray(Image.open(io.BytesIO(mine.data)))
        np.testing.assert_array_equal(example["image"], pixels)
        assert (example["label"], example["file_name"].decode()) == mine[1:]
        assert other["label"] == mine.label


def test_shards_are_of_a_few_classes_each(prepared):
    info = json.loads((prepared / HOME_2012 / "dataset_info.json").read_text())
    lengths = {split["name"]: split["shardLengths"] for split in info["splits"]}
    assert lengths == {"train": ["12", "6"], "validation": ["7"]}


def test_the_published_sizes_are_those_of_the_facts():
    from workloads.imagenet import prepare as module

    sizes = module.Sizes(lambda: (), lambda: ())
    assert (sizes.train, sizes.validation, sizes.v2) == (1_281_167, 50_000, 10_000)
    classes = module._lines("labels.txt")
    labels = module._lines("validation_labels.txt")
    assert list(classes) == sorted(classes)
    assert len(set(classes)) == 1_000
    assert sorted(labels) == sorted(list(classes) * 50)  # 50 images of each class
    assert (classes[0], classes[999]) == ("n01440764", "n15075141")
    assert classes.index(labels[0]) == 65  # ILSVRC2012_val_00000001: sea snake


# Raw files that are not right.


def fails(tmp_path, **changes) -> str:
    with pytest.raises(UserError) as error:
        prepare(
            raw.imagenet(**changes), tmp_path / "raw", tmp_path / "data", lambda _: None
        )
    assert not (tmp_path / "data/imagenet" / HOME_2012 / "dataset_info.json").exists()
    return str(error.value)


def test_missing_raw_files_are_named_with_where_to_get_them(tmp_path):
    from workloads.imagenet import prepare as module

    raw.write_imagenet(tmp_path / "raw")
    (tmp_path / "raw" / raw.VALIDATION_TAR).unlink()
    text = fails(tmp_path, raw=(module._TRAIN, module._VALIDATION))
    assert f"{raw.TRAIN_TAR}  found: {tmp_path}/raw/{raw.TRAIN_TAR}" in text
    assert f"{raw.VALIDATION_TAR}  MISSING (6.7 GB), from image-net.org" in text


def test_a_raw_file_of_another_size_is_refused_at_once(tmp_path):
    from workloads.imagenet import prepare as module

    raw.write_imagenet(tmp_path / "raw")
    text = fails(tmp_path, raw=(module._TRAIN, module._VALIDATION))
    assert "is incomplete" in text
    assert "147,897,477,120" in text
    assert "--skip_checksums" in text


def test_the_size_is_compared_before_the_tar_file_is_read(tmp_path):
    path = raw.write_imagenet(tmp_path / "raw") / raw.TRAIN_TAR
    size = path.stat().st_size
    files = (RawFile(raw.TRAIN_TAR, size), RawFile(raw.VALIDATION_TAR))
    path.write_bytes(path.read_bytes()[: size // 3])
    text = fails(tmp_path, raw=files)
    assert f"incomplete: it has {size // 3:,} bytes, and the official" in text


def test_a_missing_class_is_named(tmp_path):
    raw.write_imagenet(tmp_path / "raw")
    images = {n: i for n, i in raw.train_images().items() if raw.CLASSES[2] not in n}
    (tmp_path / "raw" / raw.TRAIN_TAR).write_bytes(raw.train_tar(images))
    text = fails(tmp_path)
    assert "has 5 classes, and should have 6" in text
    assert f"missing: {raw.CLASSES[2]}" in text


def test_a_missing_image_is_a_wrong_count(tmp_path):
    raw.write_imagenet(tmp_path / "raw")
    images = dict(list(raw.train_images().items())[1:])
    (tmp_path / "raw" / raw.TRAIN_TAR).write_bytes(raw.train_tar(images))
    assert "imagenet2012 has 17 examples in train, and should have 18" in fails(
        tmp_path
    )


def test_missing_validation_images_are_counted_before_the_work(tmp_path):
    raw.write_imagenet(tmp_path / "raw")
    some = list(raw.validation_images().items())[1:]
    (tmp_path / "raw" / raw.VALIDATION_TAR).write_bytes(raw.tar(some))
    assert "has 6 images, and should have 7" in fails(tmp_path)


@pytest.mark.parametrize("name", [raw.TRAIN_TAR, raw.VALIDATION_TAR, raw.V2_TAR])
@pytest.mark.parametrize("left", [0.3, 0.95])
def test_a_truncated_tar_is_damaged(tmp_path, name, left):
    path = raw.write_imagenet(tmp_path / "raw") / name
    content = path.read_bytes().rstrip(b"\0")  # zeros at the end may be missing
    path.write_bytes(content[: int(left * len(content)) | 1])
    with pytest.raises(UserError, match=f"{name}.* is damaged.*fetch it again"):
        prepare(raw.imagenet(), tmp_path / "raw", tmp_path / "data", lambda _: None)


def test_a_tar_that_ends_between_two_images_is_counted(tmp_path):
    path = raw.write_imagenet(tmp_path / "raw") / raw.VALIDATION_TAR
    with tarfile.open(path) as archive:
        cut = archive.getmembers()[4].offset
    path.write_bytes(path.read_bytes()[:cut])
    assert "has 4 images, and should have 7" in fails(tmp_path)


def test_a_damaged_header_within_a_class_is_not_taken_for_its_end(tmp_path):
    path = raw.write_imagenet(tmp_path / "raw") / raw.TRAIN_TAR
    content = bytearray(path.read_bytes())
    header = content.index(f"{raw.CLASSES[1]}_1.JPEG".encode())
    content[header] ^= 1
    path.write_bytes(content)
    text = fails(tmp_path)
    assert f"{raw.CLASSES[1]}.tar in {path} is damaged: no file header follows" in text
    assert f"{raw.CLASSES[1]}_0.JPEG" in text


def test_what_is_no_image_is_named(tmp_path):
    raw.write_imagenet(tmp_path / "raw")
    images = {**raw.train_images(), f"{raw.CLASSES[0]}_9.JPEG": b"<html>"}
    (tmp_path / "raw" / raw.TRAIN_TAR).write_bytes(raw.train_tar(images))
    text = fails(tmp_path)
    assert (
        f"{raw.CLASSES[0]}_9.JPEG is not an image: it begins with 3c 68 74 6d" in text
    )


def test_images_outside_the_numbered_folders_are_refused(tmp_path):
    raw.write_imagenet(tmp_path / "raw")
    stray = raw.tar([("top/6/a.jpeg", raw.jpeg(0))], "w:gz")
    (tmp_path / "raw" / raw.V2_TAR).write_bytes(stray)
    with pytest.raises(UserError, match=r"top/6/a.jpeg is in no folder 0 ... 5"):
        prepare(raw.imagenet(), tmp_path / "raw", tmp_path / "data", lambda _: None)


def test_the_test_set_may_be_unpacked_already(tmp_path, prepared):
    source = raw.write_imagenet(tmp_path / "raw")
    root = ((f"x/{name}", image) for name, image in raw.v2_images().items())
    (source / raw.V2_TAR).unlink()
    (source / raw.V2_TAR.removesuffix(".gz")).write_bytes(raw.tar(root))
    prepare(raw.imagenet(), source, tmp_path / "data", lambda _: None)
    assert raw.files_of(tmp_path / "data/imagenet") == raw.files_of(prepared)
