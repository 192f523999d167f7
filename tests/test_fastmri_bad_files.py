"""fastMRI files that are damaged, missing, or something else are named."""

import itertools
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny_knee as tiny

from algoperf.facts import EVAL_SPLITS, Split, UserError


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """The official files; tests only read them."""
    return tiny.write(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def prepared(official, tmp_path_factory) -> Path:
    """What `algoperf prepare` makes of them."""
    return tiny.make_records(official, tmp_path_factory.mktemp("prepared"))


def read(folder: Path, split: Split = "train"):
    """The first batch of three."""
    return next(tiny.source(folder).batches(split, 3, 0))


NO_VOLUME = "is no volume of fastMRI's single-coil data:"
TAKE = "Take the files of knee_singlecoil_train and knee_singlecoil_val."


def kspace(slices, rows, columns):
    return np.zeros((slices, rows, columns), np.complex64)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"kspace": None},
            f"{NO_VOLUME} it has no array 'kspace'; it has: ismrmrd_header, "
            f"reconstruction_esc, reconstruction_rss. {TAKE}",
        ),
        (
            {"reconstruction_esc": None},
            f"{NO_VOLUME} it has no array 'reconstruction_esc'; it has: "
            f"ismrmrd_header, kspace, reconstruction_rss. {TAKE}",
        ),
        (
            {"kspace": np.zeros((1, 15, 20, 13), np.complex64)},
            f"{NO_VOLUME} kspace is complex64 [1, 15, 20, 13], and should be complex64 "
            f"[slices, rows, columns]. {TAKE}",
        ),
        (
            {"kspace": np.zeros((1, 20, 13), np.float64)},
            f"{NO_VOLUME} kspace is float64 [1, 20, 13], and should be complex64 "
            f"[slices, rows, columns]. {TAKE}",
        ),
        (
            {"kspace": kspace(2, 20, 13)},
            f"{NO_VOLUME} kspace has the shape (2, 20, 13) and reconstruction_esc "
            f"(1, 8, 8); they should have as many slices, and square images. {TAKE}",
        ),
        (
            {"reconstruction_esc": np.zeros((1, 8, 9), np.float32)},
            f"{NO_VOLUME} kspace has the shape (1, 20, 13) and reconstruction_esc "
            f"(1, 8, 9); they should have as many slices, and square images. {TAKE}",
        ),
        (
            {"reconstruction_esc": np.zeros((1, 9, 9), np.float32)},
            "has images of 9x9 pixels from 20x13 of k-space, and should have 8x8 from "
            "8 or more each way. Take the files of fastMRI's single-coil knee data.",
        ),
        (
            {"kspace": kspace(1, 20, 7)},
            "has images of 8x8 pixels from 20x7 of k-space, and should have 8x8 from "
            "8 or more each way. Take the files of fastMRI's single-coil knee data.",
        ),
        (
            {"kspace": kspace(1, 22, 13)},
            "has 22 rows of k-space, and {folder}/file10.h5 has 20; all of a data set "
            "must have as many. Take the files of fastMRI's single-coil knee data.",
        ),
    ],
)
def test_a_volume_that_is_something_else_is_named(tmp_path, changes, text):
    place = tiny.write(tmp_path) / "singlecoil_train"
    tiny.write_volume(place / "file9.h5", "file9", **changes)
    with pytest.raises(UserError) as error:
        read(tmp_path)
    assert str(error.value) == f"{place}/file9.h5 {text.format(folder=place)}"


@pytest.mark.parametrize("left", [0, 100, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_named(tmp_path, left):
    path = tiny.write(tmp_path) / "singlecoil_train/file10.h5"
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content)) if left < 1 else left])
    with pytest.raises(UserError) as error:
        read(tmp_path)
    assert str(error.value).startswith(f"{path} is damaged: ")
    assert str(error.value).endswith(". Unpack or fetch it again.")


def test_a_file_that_is_no_hdf5_is_named(tmp_path):
    path = tiny.write(tmp_path) / "singlecoil_val/file99.h5"
    path.write_bytes(b"<html>not found</html>" * 1000)
    with pytest.raises(UserError, match=rf"^{path} is damaged: .*signature not found"):
        read(tmp_path, "test")


def test_a_slice_that_is_not_finite_is_named(tmp_path):
    path = tiny.write(tmp_path) / "singlecoil_val/file99.h5"
    with h5py.File(path, "r+") as file:
        file["kspace"][0, 3, 4] = np.nan
    with pytest.raises(UserError) as error:
        read(tmp_path, "test")
    assert str(error.value).startswith(f"{path} is damaged: slice 0 of kspace is not")


@pytest.mark.parametrize(
    ("maximum", "text"),
    [
        (np.ones(2), "[1. 1.]"),
        ("much", "much"),
        (np.nan, "nan"),
        (np.inf, "inf"),
        (-1.0, "-1.0"),
    ],
)
def test_a_maximum_that_is_no_number_is_named(tmp_path, maximum, text):
    path = tiny.write(tmp_path) / "singlecoil_val/file99.h5"
    with h5py.File(path, "r+") as file:
        file.attrs["max"] = maximum
    with pytest.raises(UserError) as error:
        read(tmp_path, "test")
    assert str(error.value) == (
        f"{path} is damaged: its attribute 'max' is {text}. Unpack or fetch it again."
    )


def test_missing_files_are_counted(tmp_path):
    (tiny.write(tmp_path) / "singlecoil_train/file2.h5").unlink()
    with pytest.raises(UserError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} has 4 slices in train, and should have 7; files are missing, or "
        "there are others. Unpack or prepare it again."
    )


@pytest.mark.parametrize("split", ["train", *EVAL_SPLITS])
def test_an_empty_folder_has_no_slices(tmp_path, split):
    with pytest.raises(UserError, match=r"has 0 slices in .*, and should have"):
        read(tmp_path, split)


def copy_of(prepared: Path, place: Path) -> Path:
    """The prepared training set in another place, to be damaged."""
    (place / "slices/train").mkdir(parents=True)
    for path in (prepared / "slices/train").iterdir():
        (place / "slices/train" / path.name).write_bytes(path.read_bytes())
    return place / "slices/train"


@pytest.mark.parametrize("left", [0, 60, 0.5, 0.999])
def test_a_prepared_file_that_is_cut_short_is_named(prepared, tmp_path, left):
    path = copy_of(prepared, tmp_path) / "0001.npy"
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content)) if left < 1 else left])
    with pytest.raises(UserError) as error:
        read(tmp_path)
    assert str(error.value).startswith(f"{path} is damaged: ")
    assert str(error.value).endswith("`algoperf prepare` makes them again.")


def test_a_prepared_file_of_something_else_is_named(prepared, tmp_path):
    path = copy_of(prepared, tmp_path) / "0001.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(UserError, match=rf"^{path} is damaged: it has no records of"):
        read(tmp_path)


def test_a_prepared_file_that_shrinks_while_it_is_read_is_named(prepared, tmp_path):
    place = copy_of(prepared, tmp_path)
    endless = tiny.source(tmp_path).batches("train", 7, 0)
    next(endless)
    for path in place.iterdir():
        path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UserError, match=r"is damaged: it ends before slice \d does"):
        list(itertools.islice(endless, 4))  # some had been read ahead


def test_a_missing_reader_is_named(official, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError) as error:
        read(official)
    assert str(error.value) == (
        "fastMRI's HDF5 files are read with the package h5py, which is not installed: "
        "pip install 'algoperf-jax[data]'"
    )


def test_prepared_slices_need_no_reader(prepared, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert len(read(prepared)["targets"]) == 3
