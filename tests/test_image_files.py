"""Reading ImageNet's shards: by threads, and when they are not right."""

import json
import resource
import threading
from concurrent.futures import ThreadPoolExecutor

import image_files as raw
import numpy as np
import pytest

from algoperf.facts import UserError
from algoperf.prepare.run import prepare
from workloads.imagenet.files import HOME_2012, ImageFiles


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data folder with ImageNet in it; tests only read it."""
    data_dir = tmp_path_factory.mktemp("data")
    source = raw.write_imagenet(tmp_path_factory.mktemp("raw"))
    prepare(raw.imagenet(), source, data_dir, lambda line: None)
    return data_dir / "imagenet"


@pytest.fixture
def copy(prepared, tmp_path):
    """A copy of the prepared folder, to be damaged."""
    for name, content in raw.files_of(prepared).items():
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "copy"


def test_any_number_of_threads_may_read(prepared):
    files = ImageFiles(prepared, "train")
    alone = files.read(range(len(files)))
    order = np.random.default_rng(0).integers(0, len(files), 4_000)
    start = threading.Barrier(8)

    def read(part):
        start.wait()
        return files.read(part)

    with ThreadPoolExecutor(8) as pool:
        read_ones = [one for part in pool.map(read, np.split(order, 8)) for one in part]
    assert read_ones == [alone[i] for i in order]


def test_an_index_beyond_the_end_is_an_index_error(prepared):
    files = ImageFiles(prepared, "test")
    for index in (len(files), -1):
        with pytest.raises(IndexError, match=f"image {index} of 12"):
            files[index]
    assert len(list(files)) == 12  # which iteration depends on


# Prepared folders that are not right.


def shard(folder):
    return folder / HOME_2012 / "imagenet2012-train.array_record-00001-of-00002"


@pytest.mark.parametrize("left", [0, 0.5, 0.999])
def test_a_truncated_shard_is_refused_when_opened(copy, left):
    content = shard(copy).read_bytes()
    shard(copy).write_bytes(content[: int(left * len(content))])
    with pytest.raises(UserError) as error:
        ImageFiles(copy, "train")
    assert "00001-of-00002 is damaged: it has 0 images, and should have 6" in str(
        error.value
    )
    assert "algoperf prepare --verify" in str(error.value)


def test_a_missing_shard_is_refused_when_opened(copy):
    shard(copy).unlink()
    with pytest.raises(UserError, match="00001-of-00002 is damaged: it is missing"):
        ImageFiles(copy, "train")


def test_a_flipped_bit_is_found_when_the_image_is_read(copy):
    files = ImageFiles(copy, "train")
    content = bytearray(shard(copy).read_bytes())
    image = files[13].data  # the second one of the second shard
    content[content.index(image) + len(image) // 2] ^= 16
    shard(copy).write_bytes(content)
    files = ImageFiles(copy, "train")
    assert files[0].data.startswith(b"\xff\xd8")
    with pytest.raises(UserError, match=r"00001-of-00002 is damaged: record 1: .*hash"):
        files[13]


def edit_info(copy, home=HOME_2012, **changes):
    path = copy / home / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"version": "5.0.0"},
            "has imagenet2012 5.0.0, and should have imagenet2012 5.1.0",
        ),
        (
            {"name": "imagenet_v2"},
            "has imagenet_v2 5.1.0, and should have imagenet2012",
        ),
        (
            {"fileFormat": "tfrecord"},
            "has tfrecord shards.*`algoperf prepare` converts",
        ),
        ({"splits": []}, "has no split 'train'; it has: none"),
        ({"splits": [{"shardLengths": []}]}, "is damaged .KeyError: 'name'"),
        ({"splits": 3}, "is damaged .TypeError"),
    ],
)
def test_another_folder_is_refused_by_name(copy, changes, text):
    edit_info(copy, **changes)
    with pytest.raises(UserError, match=text):
        ImageFiles(copy, "train")


def test_wrong_counts_are_refused(copy):
    path = copy / HOME_2012 / "dataset_info.json"
    path.write_text(path.read_text().replace('"12"', '"13"'))
    with pytest.raises(UserError, match="it has 12 images, and should have 13"):
        ImageFiles(copy, "train")


def test_a_folder_that_was_not_prepared_to_its_end_is_refused(copy):
    (copy / HOME_2012 / "dataset_info.json").unlink()
    with pytest.raises(
        UserError, match=r"dataset_info.json is missing.*not to its end"
    ):
        ImageFiles(copy, "train")


def test_other_splits_do_not_exist(prepared):
    with pytest.raises(UserError, match="no split 'eval_train'; there are: train"):
        ImageFiles(prepared, "eval_train")


def test_the_limit_of_open_files_is_raised_or_named(prepared, monkeypatch):
    limits = {"now": (100, 4_096)}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda kind, new: limits.update(now=new))
    ImageFiles(prepared, "train")
    assert limits["now"] == (258, 4_096)
    limits["now"] = (100, 200)
    with pytest.raises(UserError, match=r"2 shards .* allows 200 open files.*ulimit"):
        ImageFiles(prepared, "train")
