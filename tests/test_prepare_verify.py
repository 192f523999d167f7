"""`algoperf prepare`: sources, verification, the lock, and lines of progress."""

import os
import subprocess
import sys

import pytest
from toy_data_set import Toy

from algoperf.facts import UserError
from algoperf.file_lock import read_holder
from algoperf.prepare.lock import locked
from algoperf.prepare.meter import Meter, duration, size
from algoperf.prepare.plan import Part, Preparation, RawFile, Source


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


# Two sources of one part.


def test_a_part_goes_on_with_the_source_that_it_began_with(toy):
    other = Source("other.txt", (RawFile("other.txt"),), toy.units, toy.finish)
    plain = toy.preparation

    def preparation():
        part = plain().parts[0]
        both = Part(part.name, part.examples, (other, *part.sources))
        return Preparation("toy", "a toy", (both,))

    toy.preparation = preparation
    toy.fail = lambda name: (_ for _ in ()).throw(RuntimeError)
    with pytest.raises(RuntimeError):
        toy.prepare()
    assert toy.manifest.sources == {"words": "raw.txt"}
    (toy.raw_dir / "other.txt").write_text("")
    toy.fail = lambda name: None
    toy.prepare()
    assert toy.manifest.sources == {"words": "raw.txt"}
    # Damaged later, and the raw files are gone.
    (toy.folder / "a/1").unlink()
    (toy.raw_dir / "raw.txt").unlink()
    text = toy.refused()
    assert "An earlier run began with raw.txt" in text
    assert "other.txt" not in text


# Verification.


def test_verification_finds_no_damage(toy):
    toy.prepare()
    assert toy.verify() == []
    assert toy.manifest.complete


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("a/1", "shard X", "has other content"),
        ("a/1", "shard 11", "has 8 bytes, should have 7"),
        ("a/1", None, "cannot be read: No such file"),
        ("index", '["a/0", "a/1", "a/3"]', "has other content"),
    ],
)
def test_damage_is_found_and_only_that_is_made_again(toy, path, content, problem):
    toy.prepare()
    before = (toy.folder / path).read_text()
    if content is None:
        (toy.folder / path).unlink()
    else:
        (toy.folder / path).write_text(content)
    damage = toy.verify()
    assert [one.path for one in damage] == [path]
    assert problem in damage[0].problem
    assert not toy.manifest.complete
    toy.prepare()
    assert toy.made == (["1"] if path == "a/1" else [])
    assert (toy.folder / path).read_text() == before
    assert toy.verify() == []


def test_files_that_are_gone_are_made_again_without_verification(toy):
    toy.prepare()
    (toy.folder / "a/0").unlink()
    (toy.folder / "a/2").write_text("cut")
    toy.prepare()
    assert toy.made == ["0", "2"]


def test_nothing_to_verify_is_an_error(toy):
    with pytest.raises(UserError, match=r"has no prepare.json"):
        toy.verify()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_an_unreadable_manifest_is_named(toy, text):
    toy.prepare()
    (toy.folder / "prepare.json").write_text(text)
    assert "prepare.json is not a manifest that this version can read" in toy.refused()


# The lock.


def test_a_second_preparation_of_a_folder_is_refused(toy):
    toy.folder.mkdir(parents=True)
    with locked(toy.folder):
        text = toy.refused()
    assert f"{toy.folder} is being prepared by process {os.getpid()} on" in text
    toy.prepare()
    with locked(toy.folder), pytest.raises(UserError, match="is being prepared by"):
        toy.verify()


def test_the_lock_of_a_killed_process_is_taken_over(toy):
    toy.folder.mkdir(parents=True)
    code = f"""
import os, signal
from pathlib import Path
from algoperf.prepare.lock import locked
with locked(Path({str(toy.folder)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert read_holder(toy.folder / ".prepare.lock") is not None
    toy.prepare()
    assert toy.manifest.complete


# Progress.


def test_progress_has_rate_and_time_left():
    said, now = [], [0.0]
    meter = Meter(said.append, "x", 1_000_000, 400_000, every_s=5, clock=lambda: now[0])
    now[0] = 4.0
    meter.add(1)
    assert said == []
    now[0] = 10.0
    meter.add(99_999, " (2 of 7 files)")
    assert said == ["x: 500.0 kB of 1.0 MB (2 of 7 files), 10.0 kB/s, 50 s left"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (90, "2 min"),
        (3_599, "1 h 00 min"),
        (7_500, "2 h 05 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 bytes"), (1_500, "1.5 kB"), (147_897_477_120, "147.9 GB")],
)
def test_sizes(count, text):
    assert size(count) == text


def test_what_is_not_finished_is_not_called_whole(toy):
    def fail(name):
        if name == "2":
            raise RuntimeError

    toy.fail = fail
    with pytest.raises(RuntimeError):
        toy.prepare()
    with pytest.raises(UserError) as error:
        toy.verify()
    assert str(error.value) == (
        f"{toy.folder} is not complete: nothing in it is damaged, but its preparation "
        "has not ended; to make: words. The command without --verify goes on with it."
    )
    toy.fail = lambda name: None
    toy.prepare()
    assert toy.verify() == []
