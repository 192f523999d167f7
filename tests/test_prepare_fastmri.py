"""`algoperf prepare` of fastMRI: from archives and files to records, and damage."""

import lzma
from dataclasses import replace
from pathlib import Path

import image_files
import numpy as np
import pytest
import tiny_knee as tiny

from algoperf.facts import UserError
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify
from workloads.catalog import CATALOG
from workloads.fastmri import files
from workloads.fastmri.prepare import Sizes, preparation
from workloads.files import presence, require
from workloads.preparations import preparation_of


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """The official files, unpacked; tests only read them."""
    return tiny.write(tmp_path_factory.mktemp("official"))


def quietly(raw_dir: Path, data_dir: Path, sizes: Sizes = tiny.SIZES) -> None:
    prepare(preparation(sizes), raw_dir, data_dir, lambda line: None)


def archive(official: Path, split: str, mode: str) -> bytes:
    """The official archive of `train` or `val`, not in the order of the names."""
    folder = f"singlecoil_{split}"
    found = sorted((official / folder).iterdir(), reverse=True)
    members = [(f"{folder}/{path.name}", path.read_bytes()) for path in found]
    return image_files.tar([(f"{folder}/readme", b"..."), *members], mode)


def archives(official: Path, place: Path, suffix: str = "xz") -> Path:
    place.mkdir(exist_ok=True)
    for split in ("train", "val"):
        path = place / f"knee_singlecoil_{split}.tar.{suffix}"
        path.write_bytes(archive(official, split, f"w:{suffix}"))
    return place


def records(data: Path, split: str) -> dict[str, np.ndarray]:
    """The prepared volumes by name."""
    found = {}
    for path in sorted((data / "fastmri/slices" / split).iterdir()):
        volume = np.load(path, mmap_mode="r")
        (name,) = set(volume["volume"].tolist())
        found[name.decode()] = volume
    return found


def assert_whole(data: Path) -> None:
    """That every number is the official one."""
    for split, volumes in (("train", tiny.TRAIN), ("val", tiny.VAL)):
        found = records(data, split)
        assert found.keys() == volumes.keys()
        for name, volume in found.items():
            arrays = tiny.arrays(name)
            np.testing.assert_array_equal(volume["kspace"], arrays["kspace"])
            targets = arrays["reconstruction_esc"]
            np.testing.assert_array_equal(volume["target"], targets)
            maximum = np.float32(tiny.maximum(name))
            np.testing.assert_array_equal(volume["volume_max"], maximum)


@pytest.mark.parametrize("suffix", ["xz", "gz"])
def test_archives_become_records(official, tmp_path, suffix):
    quietly(archives(official, tmp_path / "raw", suffix), tmp_path)
    assert_whole(tmp_path)
    assert presence(CATALOG["fastmri"], tmp_path) == "prepared"
    assert require(CATALOG["fastmri"], tmp_path) == tmp_path / "fastmri"


@pytest.mark.parametrize("named", ["singlecoil_{}", "knee_singlecoil_{}"])
@pytest.mark.parametrize("place", ["raw", "fastmri"])
def test_unpacked_files_become_records(tmp_path, place, named):
    tiny.write(tmp_path / place, named)
    quietly(tmp_path / "raw", tmp_path)
    assert_whole(tmp_path)


def test_the_official_files_are_read_without_preparing_them(official, tmp_path):
    (tmp_path / "fastmri").symlink_to(official)
    assert presence(CATALOG["fastmri"], tmp_path) == "prepared"
    assert require(CATALOG["fastmri"], tmp_path) == tmp_path / "fastmri"


def test_what_is_missing_is_named_with_where_to_get_it(tmp_path):
    with pytest.raises(UserError) as error:
        quietly(tmp_path / "raw", tmp_path)
    text = str(error.value)
    assert "the files to make train from are not in" in text
    for name in ("singlecoil_train/*.h5", "knee_singlecoil_train/*.h5"):
        assert f"{name}  MISSING, from knee_singlecoil_train.tar.xz" in text
    ask = "MISSING, from fastmri.med.nyu.edu (free, by e-mail)"
    for name in ("knee_singlecoil_train.tar.xz", "knee_singlecoil_train.tar.gz"):
        assert f"{name}  {ask}" in text


def test_the_whole_data_set_is_the_one_that_the_facts_say():
    examples = CATALOG["fastmri"].examples
    parts = {part.name: part.examples for part in preparation_of("fastmri").parts}
    assert parts == {
        "train": {"train": examples["train"]},
        "val": {"val": examples["validation"] + examples["test"]},
    }
    sizes = Sizes()
    # One volume is 36 slices or so, of 640 x 372 and 320 x 320 pixels.
    volume_bytes = sizes.slices[0] / sizes.volumes[0] * (8 * 640 * 372 + 4 * 320**2)
    assert sizes.volume_bytes == pytest.approx(volume_bytes, rel=0.02)


def test_a_preparation_that_was_cut_off_goes_on(official, tmp_path, monkeypatch):
    raw = archives(official, tmp_path / "raw")
    from workloads.fastmri import prepare as module

    whole, written = module.write_records, []

    def until_the_disk_breaks(path, name, contents):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        return whole(path, name, contents)

    monkeypatch.setattr(module, "write_records", until_the_disk_breaks)
    with pytest.raises(KeyboardInterrupt):
        quietly(raw, tmp_path)
    assert presence(CATALOG["fastmri"], tmp_path) == "partial"
    monkeypatch.setattr(module, "write_records", whole)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "fastmri").rglob("*.npy")}
    assert len(times) == 2
    quietly(raw, tmp_path)
    assert_whole(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in times} == times


def test_damage_is_found_and_made_anew_from_the_archive(official, tmp_path):
    raw = archives(official, tmp_path / "raw")
    quietly(raw, tmp_path)
    for number in (1, 0):
        path = tmp_path / f"fastmri/slices/train/000{number}.npy"
        content = bytearray(path.read_bytes())
        content[500] ^= 1
        path.write_bytes(content)
    found = verify(preparation(tiny.SIZES), tmp_path, lambda line: None)
    assert [damage.path for damage in found] == [
        "slices/train/0000.npy",
        "slices/train/0001.npy",
    ]
    quietly(raw, tmp_path)
    assert_whole(tmp_path)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:5_000] + bytes([content[5_000] ^ 1]) + content[5_001:]


def without_magic(content: bytes) -> bytes:
    return b"no archive" + content


@pytest.mark.parametrize("damage", [cut, flipped, without_magic])
def test_a_damaged_archive_is_named(official, tmp_path, damage):
    raw = archives(official, tmp_path / "raw")
    path = raw / "knee_singlecoil_train.tar.xz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError) as error:
        quietly(raw, tmp_path)
    assert str(error.value).startswith(f"{path} is damaged: ")
    assert presence(CATALOG["fastmri"], tmp_path) == "partial"


def test_an_archive_with_too_few_volumes_is_named(official, tmp_path):
    raw = archives(official, tmp_path / "raw")
    more = replace(tiny.SIZES, volumes=(4, 102))
    with pytest.raises(UserError) as error:
        quietly(raw, tmp_path, more)
    assert str(error.value) == (
        f"{raw}/knee_singlecoil_train.tar.xz has 3 volumes, and should have 4; fetch "
        "or unpack it again."
    )


def test_a_damaged_volume_in_an_archive_is_named_with_its_archive(official, tmp_path):
    (tmp_path / "raw").mkdir()
    content = (official / "singlecoil_train/file2.h5").read_bytes()
    members = [("singlecoil_train/file2.h5", content[:-1_000])]
    path = tmp_path / "raw/knee_singlecoil_train.tar.xz"
    path.write_bytes(lzma.compress(image_files.tar(members)))
    tiny.write(tmp_path / "others")
    (tmp_path / "others/singlecoil_val").rename(tmp_path / "raw/singlecoil_val")
    with pytest.raises(UserError) as error:
        quietly(tmp_path / "raw", tmp_path)
    start = f"singlecoil_train/file2.h5 in {path} is damaged: "
    assert str(error.value).startswith(start)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kspace": None}, "has no array 'kspace'"),
        (
            {"kspace": np.full((1, 20, 13), np.nan, np.complex64)},
            "file9.h5 is damaged: slice 0 of kspace is not finite",
        ),
        (
            {"reconstruction_esc": np.full((1, 8, 8), np.inf, np.float32)},
            "file9.h5 is damaged: slice 0 of reconstruction_esc is not finite",
        ),
    ],
)
def test_a_volume_that_is_no_good_is_named(tmp_path, changes, text):
    place = tiny.write(tmp_path / "raw") / "singlecoil_train"
    tiny.write_volume(place / "file9.h5", "file9", **changes)
    with pytest.raises(UserError, match=text):
        quietly(tmp_path / "raw", tmp_path)


def test_missing_volumes_are_counted_before_anything_is_made(tmp_path):
    place = tiny.write(tmp_path / "raw") / "singlecoil_train"
    (place / "file10.h5").unlink()
    with pytest.raises(UserError) as error:
        quietly(tmp_path / "raw", tmp_path)
    assert str(error.value) == (
        f"{place} has 2 volumes, and should have 3; fetch or unpack it again."
    )
    assert not list((tmp_path / "fastmri").rglob("*.npy"))


def test_missing_slices_are_counted_before_the_data_counts_as_prepared(tmp_path):
    place = tiny.write(tmp_path / "raw") / "singlecoil_train"
    tiny.write_volume(
        place / "file10.h5",
        "file10",
        **{key: array[:2] for key, array in tiny.arrays("file10").items()},
    )
    with pytest.raises(UserError, match="train has 6 examples in train, and should"):
        quietly(tmp_path / "raw", tmp_path)
    assert presence(CATALOG["fastmri"], tmp_path) == "partial"


def test_the_name_of_a_volume_may_be_long(tmp_path):
    name = "file" + "0" * 200 + "99"
    place = tiny.write(tmp_path / "raw") / "singlecoil_val"
    (place / "file99.h5").rename(place / f"{name}.h5")
    quietly(tmp_path / "raw", tmp_path)
    found = files.SliceFiles(tmp_path / "fastmri", "validation", tiny.SIZE)
    assert len(found) == tiny.EXAMPLES["validation"]
    assert name in records(tmp_path, "val")


@pytest.mark.parametrize("packed", [False, True])
def test_images_of_another_size_are_refused_before_a_run(official, tmp_path, packed):
    raw = archives(official, tmp_path / "raw") if packed else official
    larger = replace(tiny.SIZES, image_size=10)
    with pytest.raises(UserError) as error:
        quietly(raw, tmp_path / "data", larger)
    assert "has images of 8x8 pixels from 20x" in str(error.value)
    assert "of k-space, and should have 10x10 from 10 or more" in str(error.value)
    assert not list((tmp_path / "data").rglob("*.npy"))
