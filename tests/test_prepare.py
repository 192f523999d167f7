"""The framework of `algoperf prepare`: what is made, resumed, and refused."""

import errno
import functools
import hashlib
import json
import os
import shutil
from collections import namedtuple

import pytest
from toy_data_set import CONTENT, DIGEST, Toy

from algoperf.prepare import manifest as manifests
from algoperf.prepare.plan import Part, Preparation, Source, Unit, nothing_to_finish


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


def test_everything_is_made_and_entered(toy):
    toy.prepare()
    assert {p.name: p.read_text() for p in (toy.folder / "a").iterdir()} == {
        name: f"shard {name}" for name in "012"
    }
    assert json.loads((toy.folder / "index").read_text()) == ["a/0", "a/1", "a/2"]
    plain = json.loads((toy.folder / "prepare.json").read_text())
    assert plain["complete"]
    assert plain["files"]["a/2"] == {
        "part": "words",
        "split": "test",
        "records": 2,
        "bytes": 7,
        "sha256": hashlib.sha256(b"shard 2").hexdigest(),
    }
    assert not list(toy.folder.rglob("*.unfinished"))


def test_it_says_what_it_needs_and_finds_before_it_starts(toy):
    toy.prepare()
    text = "\n".join(toy.said)
    assert f"a toy -> {toy.folder}" in text
    assert "words from raw.txt:" in text
    assert f"raw.txt  4 bytes  {toy.raw_dir}/raw.txt" in text
    assert "3 files to make, 30 bytes; 0 done before" in text
    assert "free on the disk:" in text
    assert text.splitlines()[-3].endswith("; takes about 0 s")
    assert text.endswith(f"{toy.folder} is prepared.")


def test_a_second_time_there_is_nothing_to_do(toy):
    toy.prepare()
    shutil.rmtree(toy.raw_dir)  # not needed any more
    toy.prepare()
    assert toy.made == []
    assert toy.said == [
        f"{toy.folder} is prepared already; --verify reads it all again."
    ]


def test_a_part_that_is_new_is_made_though_the_others_are_complete(toy):
    toy.prepare()
    old = toy.preparation()

    def units(raw, folder):
        return [Unit("b", "new", 10, functools.partial(toy.make, "b"))]

    source = Source("raw.txt", (toy.file,), units, nothing_to_finish)
    new = Part("more", {"new": 2}, (source,))
    toy.preparation = lambda: Preparation("toy", "a toy", (*old.parts, new))
    toy.prepare()
    assert toy.made == ["b"]
    assert toy.manifest.finished == ("words", "more")


def test_what_was_done_before_an_error_is_not_done_again(toy):
    def fail(name):
        if name == "1":
            raise RuntimeError("lightning")

    toy.fail = fail
    with pytest.raises(RuntimeError, match="lightning"):
        toy.prepare()
    assert toy.made == ["0", "1"]
    assert [path.name for path in (toy.folder / "a").iterdir()] == ["0"]
    assert not toy.manifest.complete
    assert not (toy.folder / "index").exists()
    toy.fail = lambda name: None
    toy.prepare()
    assert toy.made == ["1", "2"]
    assert toy.manifest.complete


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_is_named_and_nothing_is_lost(toy, number):
    def fail(name):
        if name == "2":
            raise OSError(number, os.strerror(number))

    toy.fail = fail
    text = toy.refused()
    assert f"the disk of {toy.folder} is full" in text
    assert "What is done is kept" in text
    assert sorted(p.name for p in (toy.folder / "a").iterdir()) == ["0", "1"]
    toy.fail = lambda name: None
    toy.prepare()
    assert toy.made == ["2"]


def test_a_disk_that_is_full_for_the_manifest_is_named_too(toy, monkeypatch):
    real = manifests.write_json

    def write_json(path, content):
        if len(content["files"]) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(manifests, "write_json", write_json)
    assert "is full" in toy.refused()
    assert list(toy.manifest.files) == ["a/0"]
    monkeypatch.undo()
    toy.prepare()
    assert toy.made == ["1", "2"]


def test_other_trouble_of_the_disk_is_not_called_full(toy):
    def fail(name):
        raise OSError(errno.EIO, "broken")

    toy.fail = fail
    with pytest.raises(OSError, match="broken"):
        toy.prepare()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_named(toy, number, monkeypatch):
    def fail(name):
        raise OSError(number, os.strerror(number), str(toy.folder / "a"))

    toy.fail = fail
    assert toy.refused() == (
        f"{toy.folder}/a cannot be used: {os.strerror(number)}. Change its "
        "permissions, or give another --data_dir."
    )


def test_too_little_disk_is_refused_before_anything_is_made(toy, monkeypatch):
    usage = namedtuple("usage", "total used free")(0, 0, 64_000_029)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert toy.refused() == (
        f"{toy.folder} needs 64.0 MB on its disk, and 64.0 MB are free. Make room, or "
        "give another --data_dir or --raw_dir."
    )
    assert (toy.made, toy.manifest) == ([], None)


def test_missing_raw_files_are_named(toy):
    (toy.raw_dir / "raw.txt").unlink()
    text = toy.refused()
    assert f"from are not in {toy.raw_dir} or {toy.folder}" in text
    assert "raw.txt  MISSING" in text
    assert "--raw_dir" in text
    assert "--download" not in text  # there is no address
    assert toy.manifest is None


@pytest.mark.parametrize(
    "place", ["raw/x/y/raw.txt", "data/toy/raw.txt", "data/raw.txt"]
)
def test_raw_files_may_be_further_down_or_in_the_data_folder(toy, tmp_path, place):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (toy.raw_dir / "raw.txt").rename(tmp_path / place)
    toy.prepare()
    assert len(toy.made) == 3


def test_wrong_counts_are_an_error_and_the_marker_is_not_written(toy):
    toy.examples = {"train": 4, "test": 3}
    text = toy.refused()
    assert "words has 2 examples in test, and should have 3" in text
    assert not (toy.folder / "index").exists()
    assert not toy.manifest.complete


# Checksums of raw files.


@pytest.mark.parametrize("digest", [DIGEST, "md5:" + hashlib.md5(CONTENT).hexdigest()])
def test_the_right_checksum_is_compared_once(tmp_path, digest):
    toy = Toy(tmp_path, bytes=4, digest=digest)
    toy.fail = lambda name: (_ for _ in ()).throw(RuntimeError)
    for checked in (True, False):
        with pytest.raises(RuntimeError):
            toy.prepare()
        assert any("is right" in line for line in toy.said) == checked
    (toy.raw_dir / "raw.txt").write_bytes(b"new\n")
    assert "is damaged, or another file" in toy.refused()


def test_a_wrong_checksum_is_refused_unless_skipped(tmp_path):
    toy = Toy(tmp_path, bytes=4, digest="sha256:abcd")
    text = toy.refused()
    assert f"its sha256 is {DIGEST[7:]}, and the official one is abcd" in text
    assert "--skip_checksums" in text
    assert toy.made == []
    toy.prepare(skip_checksums=True)
    assert toy.manifest.complete


@pytest.mark.parametrize(("wanted", "word"), [(5, "incomplete"), (3, "another file")])
def test_a_wrong_size_is_refused_unless_skipped(tmp_path, wanted, word):
    toy = Toy(tmp_path, bytes=wanted, digest=DIGEST)
    assert f"is {word}: it has 4 bytes" in toy.refused()
    toy.prepare(skip_checksums=True)
    assert toy.manifest.complete
