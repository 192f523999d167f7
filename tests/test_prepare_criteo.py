"""Criteo's logs from their raw files to arrays of rows."""

import os

import click_logs as logs
import numpy as np
import pytest

from algoperf.facts import UserError
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify
from workloads.catalog import CATALOG
from workloads.criteo.files import RowFiles
from workloads.criteo.prepare import Sizes, preparation
from workloads.files import presence, require
from workloads.preparations import preparation_of

HELD_OUT = ("validation", "test")


def made(tmp_path, raw):
    data_dir = tmp_path / "data"
    prepare(preparation(logs.SIZES), raw, data_dir, lambda line: None)
    return data_dir / "criteo1tb"


def refused(tmp_path, raw) -> str:
    with pytest.raises(UserError) as error:
        made(tmp_path, raw)
    return str(error.value)


def assert_right(folder) -> None:
    for split in ("train", *HELD_OUT):
        expected = logs.split_rows(split)
        files = RowFiles(folder, split, len(expected))
        (*parts,) = files.parts(0, len(files))
        np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize("suffix", ["", ".csv", ".gz"])
def test_criteos_files_become_rows(tmp_path, suffix):
    folder = made(tmp_path, logs.write_days(tmp_path / "raw", suffix))
    assert_right(folder)
    names = sorted(path.name for path in folder.glob("*/*.npy"))
    assert names == ["day_00.npy", "day_01.npy", "day_02.npy", "day_02.npy"]


@pytest.mark.parametrize("suffix", ["", ".csv", ".gz"])
def test_algoperfs_files_become_rows(tmp_path, suffix):
    folder = made(tmp_path, logs.write_chunks(tmp_path / "raw", suffix))
    assert_right(folder)
    test = sorted(path.name for path in (folder / "test").glob("*.npy"))
    assert test == ["day_02_00.npy", "day_02_01.npy"]


def test_one_file_of_another_kind_is_no_set(tmp_path):
    raw = logs.write_days(tmp_path / "raw", ".gz")
    (raw / "day_0_00").write_bytes(b"")
    assert_right(made(tmp_path, raw))


def test_a_folder_of_algoperf_is_prepared_in_its_place(tmp_path):
    logs.write_chunks(tmp_path / "data" / "criteo1tb")
    assert_right(made(tmp_path, tmp_path))


def test_the_sizes_are_those_of_the_facts():
    (part,) = preparation().parts
    examples = CATALOG["criteo1tb"].examples
    assert part.examples == {split: examples[split] for split in ("train", *HELD_OUT)}
    sizes = Sizes()
    chunks = [-(-rows // sizes.chunk_rows) for rows in sizes.day_rows]
    # AlgoPerf's documentation: 885 files, 36 of the last day, 19 of these for testing.
    assert (sum(chunks), chunks[-1]) == (885, 36)
    assert sizes.test_rows == 19 * sizes.chunk_rows


def test_every_variant_has_the_preparation_of_its_base():
    assert preparation_of("criteo1tb_layernorm").folder == "criteo1tb"


def test_what_is_prepared_is_what_the_workload_asks_for(tmp_path):
    facts = CATALOG["criteo1tb_resnet"]
    assert presence(facts, tmp_path / "data") == "missing"
    folder = made(tmp_path, logs.write_days(tmp_path / "raw"))
    assert require(facts, tmp_path / "data") == folder


def test_a_stopped_preparation_goes_on(tmp_path):
    raw = logs.write_chunks(tmp_path / "raw")
    whole = (raw / "day_1_01").read_bytes()
    (raw / "day_1_01").write_bytes(b"")
    refused(tmp_path, raw)
    folder = tmp_path / "data" / "criteo1tb"
    before = {path: os.stat(path).st_mtime_ns for path in folder.glob("train/*.npy")}
    assert len(before) == 4
    (raw / "day_1_01").write_bytes(whole)
    assert_right(made(tmp_path, raw))
    assert {path: os.stat(path).st_mtime_ns for path in before} == before


def test_verify_finds_a_changed_file(tmp_path):
    folder = made(tmp_path, logs.write_days(tmp_path / "raw"))
    path = folder / "train" / "day_00.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (damage,) = verify(preparation(logs.SIZES), tmp_path / "data", lambda line: None)
    assert damage.path == "train/day_00.npy"


# Raw files that are not right.


def test_missing_raw_files_are_named(tmp_path):
    text = refused(tmp_path, tmp_path)
    assert "day_0_00  MISSING, from Criteo" in text
    assert "day_0.gz  MISSING, from Criteo" in text


def test_a_missing_chunk_is_named(tmp_path):
    raw = logs.write_chunks(tmp_path / "raw")
    for name in ("day_0_01", "day_2_02"):
        (raw / name).unlink()
    assert refused(tmp_path, raw) == (
        f"{raw} has 7 of 9 files; missing: day_0_01, day_2_02. Put them there."
    )
    (raw / "day_2_03").unlink()
    assert "day_2_03  MISSING, from Criteo" in refused(tmp_path, raw)


def test_many_missing_days_are_counted(tmp_path):
    for name in ("day_0_00", "day_2_03"):
        (tmp_path / name).touch()
    assert (
        "has 2 of 9 files; missing: day_0_01, day_0_02, day_1_00, day_1_01, day_2_00 "
        "and 2 more." in refused(tmp_path, tmp_path)
    )


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_day_with_too_few_lines_is_named(tmp_path, suffix, monkeypatch):
    raw = logs.write_days(tmp_path / "raw", suffix)
    short = logs.write_days(tmp_path / "short", suffix)
    (raw / f"day_0{suffix}").write_bytes((short / f"day_1{suffix}").read_bytes())
    path = raw / f"day_0{suffix}"
    assert refused(tmp_path, raw) == (
        f"{path} should have 23 lines, and has 17 lines. It is incomplete, or another "
        "file. Fetch it again."
    )


def test_a_chunk_with_too_many_lines_is_named(tmp_path):
    raw = logs.write_chunks(tmp_path / "raw")
    with (raw / "day_2_03").open("ab") as file:
        file.write(logs.text(logs.fields(0, 0)))
    assert "day_2_03 should have 1 lines, and has more." in refused(tmp_path, raw)


def test_a_last_day_that_ends_early_is_named(tmp_path):
    raw = logs.write_days(tmp_path / "raw")
    lines = logs.day_lines(2)
    for count in (12, 20, 30):
        (raw / "day_2").write_bytes(b"".join(lines[:count]))
        wanted = 20 if count < 20 else 31
        assert f"day_2 should have {wanted} lines, and has {count} lines." in refused(
            tmp_path, raw
        )


def test_a_bad_line_is_named_and_nothing_is_left_of_its_file(tmp_path):
    raw = logs.write_chunks(tmp_path / "raw")
    lines = (raw / "day_1_00").read_bytes().splitlines(keepends=True)
    lines[6] = lines[6].replace(b"\t", b" ", 1)
    (raw / "day_1_00").write_bytes(b"".join(lines))
    text = refused(tmp_path, raw)
    assert f"{raw / 'day_1_00'}, line 7 has 39 fields, and should have 40" in text
    left = [path.name for path in (tmp_path / "data").rglob("*day_01_00*")]
    assert left == []
