"""A data set of three shards, to try the framework of `algoperf prepare` with."""

import functools
import hashlib
import json
from pathlib import Path

import pytest

from algoperf.facts import UserError
from algoperf.prepare import manifest as manifests
from algoperf.prepare.manifest import Manifest
from algoperf.prepare.plan import Part, Preparation, RawFile, Source, Unit
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify

CONTENT = b"raw\n"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Toy:
    """A data set of three shards with two examples each; records what is made."""

    def __init__(self, tmp_path: Path, **raw):
        self.raw_dir, self.data_dir = tmp_path / "raw", tmp_path / "data"
        self.folder = self.data_dir / "toy"
        self.made: list[str] = []
        self.said: list[str] = []
        self.fail = lambda name: None
        self.file = RawFile("raw.txt", **raw)
        self.examples = {"train": 4, "test": 2}
        self.raw_dir.mkdir()
        (self.raw_dir / "raw.txt").write_bytes(CONTENT)

    def preparation(self) -> Preparation:
        source = Source("raw.txt", (self.file,), self.units, self.finish)
        part = Part("words", self.examples, (source,))
        return Preparation("toy", "a toy", (part,))

    def units(self, raw, folder):
        return [
            Unit(f"a/{name}", split, 10, functools.partial(self.make, name))
            for name, split in (("0", "train"), ("1", "train"), ("2", "test"))
        ]

    def make(self, name: str, path: Path) -> int:
        self.made.append(name)
        path.write_text("half")
        self.fail(name)
        path.write_text(f"shard {name}")
        return 2

    def finish(self, raw, folder, made):
        (folder / "index").write_text(json.dumps(list(made)))
        return ["index"]

    def prepare(self, **options) -> None:
        self.made.clear()
        self.said.clear()
        prepare(
            self.preparation(), self.raw_dir, self.data_dir, self.said.append, **options
        )

    def verify(self):
        return verify(self.preparation(), self.data_dir, self.said.append)

    def refused(self, **options) -> str:
        with pytest.raises(UserError) as error:
            self.prepare(**options)
        return str(error.value)

    @property
    def manifest(self) -> Manifest | None:
        return manifests.load(self.folder)
