"""Folders that TFDS prepared: TFRecord is converted, ArrayRecord is taken as it is."""

import errno
import importlib.util
import json
import struct
from pathlib import Path

import image_files as raw
import numpy as np
import pytest

from algoperf.facts import UserError
from algoperf.prepare import manifest as manifests
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify
from workloads.crc32c import crc32c, masked_crc32c
from workloads.imagenet.files import HOME_2012, HOME_V2, ImageFiles
from workloads.tfds_layout import read_layout, read_records, write_records
from workloads.tfrecord import read_tfrecord


@pytest.fixture(scope="module")
def from_tars(tmp_path_factory):
    """ImageNet made of the tar files; tests only read it."""
    source = raw.write_imagenet(tmp_path_factory.mktemp("raw"))
    data_dir = tmp_path_factory.mktemp("data")
    prepare(raw.imagenet(), source, data_dir, lambda line: None)
    return data_dir / "imagenet"


@pytest.fixture
def tfrecords(from_tars, tmp_path):
    """The same in TFRecord, as AlgoPerf's preparation leaves it."""
    return as_tfrecord(from_tars, tmp_path / "old/jax")


def as_tfrecord(folder: Path, target: Path) -> Path:
    for home in (HOME_2012, HOME_V2):
        (target / home).mkdir(parents=True)
        layout = read_layout(folder / home)
        for split, lengths in layout.shard_lengths.items():
            for index in range(len(lengths)):
                records = read_records(layout.shard(split, index), "array_record")
                path = layout.shard(split, index, "tfrecord")
                (target / home / path.name).write_bytes(raw.tfrecord(records))
        for path in [*(folder / home).glob("*.json"), *(folder / home).glob("*.txt")]:
            (target / home / path.name).write_bytes(path.read_bytes())
        path = target / home / "dataset_info.json"
        info = json.loads(path.read_text())
        del info["fileFormat"]  # old versions of TFDS had only one
        info |= {"description": "kept", "citation": "kept"}
        info["splits"].append({"name": "other", "shardLengths": ["9"], "numBytes": "1"})
        path.write_text(json.dumps(info))
    return target


def images(folder: Path) -> list:
    return [
        list(ImageFiles(folder, split)) for split in ("train", "validation", "test")
    ]


def convert(raw_dir: Path, data_dir: Path) -> str:
    said: list[str] = []
    prepare(raw.imagenet(), raw_dir, data_dir, said.append)
    return "\n".join(said)


def test_tfrecords_are_converted_record_by_record(tfrecords, from_tars, tmp_path):
    said = convert(tmp_path / "old", tmp_path / "data")
    folder = tmp_path / "data/imagenet"
    assert "imagenet2012 from TFDS imagenet2012/5.1.0" in said
    assert images(folder) == images(from_tars)
    info = json.loads((folder / HOME_2012 / "dataset_info.json").read_text())
    assert info["fileFormat"] == "array_record"
    assert info["description"] == info["citation"] == "kept"
    assert [split["name"] for split in info["splits"]] == ["train", "validation"]
    for name in ("features.json", "label.labels.txt"):
        kept = (tfrecords / HOME_2012 / name).read_bytes()
        assert (folder / HOME_2012 / name).read_bytes() == kept
    assert verify(raw.imagenet(), tmp_path / "data", lambda line: None) == []


def test_tfds_reads_what_was_converted(tfrecords, tmp_path):
    import tensorflow_datasets as tfds

    convert(tmp_path / "old", tmp_path / "data")
    folder = tmp_path / "data/imagenet"
    source = tfds.data_source("imagenet2012:5.1.0", split="train", data_dir=folder)
    names = [example["file_name"].decode() for example in source]
    assert names == [image.name for image in ImageFiles(folder, "train")]


def test_the_data_folder_itself_may_have_the_tfrecords(from_tars, tmp_path):
    folder = as_tfrecord(from_tars, tmp_path / "imagenet")
    convert(tmp_path / "none", tmp_path)
    assert images(folder) == images(from_tars)
    assert len(list(folder.rglob("*.tfrecord-*"))) == 4  # the user's: they stay
    assert "prepared already" in convert(tmp_path / "none", tmp_path)


def test_a_damaged_shard_is_made_again_of_the_tfrecord_beside_it(from_tars, tmp_path):
    folder = as_tfrecord(from_tars, tmp_path / "imagenet")
    convert(tmp_path / "none", tmp_path)
    shard = next(folder.rglob("*train.array_record-00001*"))
    shard.write_bytes(bytes(shard.stat().st_size))
    assert len(verify(raw.imagenet(), tmp_path, lambda line: None)) == 1
    assert "1 file to make" in convert(tmp_path / "none", tmp_path)
    assert images(folder) == images(from_tars)


def test_shards_in_array_record_are_taken_as_they_are(from_tars, tmp_path):
    folder = tmp_path / "imagenet"
    for name, content in raw.files_of(from_tars).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    said = convert(tmp_path / "none", tmp_path)
    assert "0 files to make, 0 bytes; 0 done before, 3 to take as they are" in said
    assert raw.files_of(folder) == raw.files_of(from_tars)
    assert manifests.load(folder).complete
    # From then on it is known what should be there.
    shard = next(folder.rglob("*train*00001*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert len(verify(raw.imagenet(), tmp_path, lambda line: None)) == 1


def test_shards_elsewhere_are_copied(from_tars, tmp_path):
    convert(from_tars, tmp_path)
    assert raw.files_of(tmp_path / "imagenet") == raw.files_of(from_tars)


def test_a_part_from_tfds_and_a_part_from_the_tar_file(tfrecords, from_tars, tmp_path):
    for path in (tfrecords / HOME_V2).iterdir():
        path.unlink()
    said = convert(raw.write_imagenet(tmp_path / "old"), tmp_path)
    assert "imagenet2012 from TFDS imagenet2012/5.1.0" in said
    assert f"imagenet_v2 from {raw.V2_TAR}" in said
    assert images(tmp_path / "imagenet") == images(from_tars)


# What can be wrong with them.


def refused(tmp_path: Path) -> str:
    with pytest.raises(UserError) as error:
        convert(tmp_path / "old", tmp_path / "data")
    return str(error.value)


def test_a_missing_shard_is_named_before_the_work(tfrecords, tmp_path):
    (tfrecords / HOME_2012 / "imagenet2012-train.tfrecord-00001-of-00002").unlink()
    text = refused(tmp_path)
    assert f"{tfrecords / HOME_2012} is incomplete" in text
    assert "missing: imagenet2012-train.tfrecord-00001-of-00002." in text


@pytest.mark.parametrize("place", ["length", "content", "checksum"])
def test_a_flipped_bit_is_found_by_the_checksum(tfrecords, tmp_path, place):
    path = tfrecords / HOME_2012 / "imagenet2012-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    (first,) = struct.unpack("<Q", content[:8])
    start = 12 + first + 4  # of the second record
    (length,) = struct.unpack("<Q", content[start : start + 8])
    content[start + {"length": 6, "content": 99, "checksum": 12 + length}[place]] ^= 4
    path.write_bytes(content)
    assert f"{path} is damaged: the checksum of record 1 does not fit" in refused(
        tmp_path
    )


@pytest.mark.parametrize("missing", [1, 3, 4, 100])
def test_a_file_that_is_cut_short_is_found(tfrecords, tmp_path, missing):
    path = tfrecords / HOME_2012 / "imagenet2012-train.tfrecord-00001-of-00002"
    path.write_bytes(path.read_bytes()[:-missing])
    assert f"{path} ends within record 5" in refused(tmp_path)


def test_a_missing_record_is_counted(tfrecords, tmp_path):
    path = tfrecords / HOME_2012 / "imagenet2012-train.tfrecord-00001-of-00002"
    path.write_bytes(raw.tfrecord(list(read_tfrecord(path))[:-1]))
    assert f"{path} has 5 records, and" in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"splits": []}, "has no split 'train'; it has: none"),
        ({"fileFormat": "riegeli"}, "in the format 'riegeli'"),
        (
            {"version": "5.0.0"},
            "imagenet2012 5.0.0, and should have imagenet2012 5.1.0",
        ),
        ({"splits": [{"name": "train", "filepathTemplate": "{X}"}]}, "called '{X}'"),
    ],
)
def test_folders_that_cannot_be_read_are_refused(tfrecords, tmp_path, changes, text):
    path = tfrecords / HOME_2012 / "dataset_info.json"
    info = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(info))
    if "fileFormat" in changes:
        for shard in (tfrecords / HOME_2012).glob("*.tfrecord-*"):
            shard.rename(str(shard).replace("tfrecord", "riegeli"))
    assert text in refused(tmp_path)


def test_a_disk_that_fills_while_a_shard_is_written_is_the_systems_error():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left on device") as error:
        write_records(full, [bytes(100_000)] * 30)
    assert error.value.errno == errno.ENOSPC


# Checksums: RFC 3720 B.4, a file that TensorFlow's writer made, and the definition.


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_checksums(data, crc):
    assert crc32c(data) == crc


@pytest.mark.parametrize("length", [1, 3, 4, 255, 256, 257, 1023, 1024, 1025, 70_001])
def test_checksums_by_definition(length):
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == raw.crc32c(data)


def test_checksums_of_more_than_a_table():
    # The CRC of a message with its own CRC behind it is the same for all messages.
    for length in (1 << 20, 2_100_007):
        data = np.random.default_rng(length).bytes(length)
        assert crc32c(data + struct.pack("<I", crc32c(data))) == 0x48674BC7


def test_a_file_of_another_writer():
    spec = importlib.util.find_spec("grain")
    folder = Path(spec.submodule_search_locations[0])
    path = folder / "_src/python/testdata/morris_sequence_first_5.tfrecord"
    if not path.exists():
        pytest.skip("this version of Grain has no TFRecord in it")
    records = list(read_tfrecord(path))
    assert records == [b"1", b"1 1", b"2 1", b"1 2 1 1", b"1 1 1 2 2 1"]
    assert masked_crc32c(b"1") == struct.unpack("<I", path.read_bytes()[13:17])[0]
