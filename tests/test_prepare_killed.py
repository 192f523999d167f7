"""`algoperf prepare` killed at any point goes on to the same bytes."""

import subprocess
import sys
from pathlib import Path

import image_files as raw
import pytest

from algoperf.prepare import manifest as manifests
from algoperf.prepare.run import prepare

# Where the process kills itself: which function, at which call, before or after it.
POINTS = [
    ("workloads.imagenet.prepare", "_example", 8, "before"),  # within the first shard
    ("os", "replace", 2, "before"),  # the first shard has not its name yet
    ("os", "replace", 2, "after"),  # it has, but is not in the manifest
    ("os", "replace", 5, "before"),  # while the manifest is replaced
    ("algoperf.prepare.manifest", "save", 3, "after"),
    ("workloads.imagenet.prepare", "write_info", 1, "before"),
    ("workloads.imagenet.prepare", "write_info", 1, "after"),
    ("workloads.imagenet.prepare", "write_info", 2, "after"),
]

KILLED = """
import importlib, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import image_files
from killing import die_at
from algoperf.prepare.run import prepare

module, *call = {point!r}
die_at(importlib.import_module(module), *call)
prepare(image_files.imagenet(), Path({raw!r}), Path({data!r}), lambda line: None)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return raw.write_imagenet(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def uninterrupted(source, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    prepare(raw.imagenet(), source, data_dir, lambda line: None)
    return raw.files_of(data_dir / "imagenet")


@pytest.mark.parametrize("point", POINTS, ids=lambda p: "-".join(map(str, p[1:])))
def test_a_killed_preparation_goes_on_to_the_same_bytes(
    point, source, uninterrupted, tmp_path
):
    code = KILLED.format(
        tests=str(Path(__file__).parent),
        point=point,
        raw=str(source),
        data=str(tmp_path),
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -9, done.stderr
    folder = tmp_path / "imagenet"
    assert not manifests.load(folder).complete
    # Everything under its own name is whole already.
    for name, content in raw.files_of(folder).items():
        if ".unfinished" not in name and "array_record" in name:
            assert content == uninterrupted[name]
    prepare(raw.imagenet(), source, tmp_path, lambda line: None)
    assert raw.files_of(folder) == uninterrupted
    assert manifests.load(folder).complete
