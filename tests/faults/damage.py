"""Damages the last checkpoint of a trial in every way, and restores it each time.

  python damage.py TRIAL STEP FOLDER

Prints a JSON list of [file, damage, step that was restored, hash of its values, what
was said, whether the damaged one was kept]. A program of its own: callbacks of
TensorStore that come after Orbax has given up disturb the process they come to.
"""

import hashlib
import itertools
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from algoperf.checkpoint import Checkpoints
from algoperf.train_state import TrainState

PARTS = 64  # of each file


def main(trial: str, step: str, folder: str) -> None:
    for name in ("absl", "asyncio", "concurrent.futures"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    whole, work = Path(trial) / "checkpoints", Path(folder) / "trial"
    found = []
    for file in sorted((whole / step).rglob("*")):
        if not file.is_file():
            continue
        name = file.relative_to(whole)
        for what, content in damages(file.read_bytes()):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(whole, work / "checkpoints")
            if content is None:
                (work / "checkpoints" / name).unlink()
            else:
                (work / "checkpoints" / name).write_bytes(content)
            kept = work / f"damaged_checkpoint_{step}"
            restored = restore(work / "checkpoints")
            found.append([str(name), what, *restored, kept.is_dir()])
    print(json.dumps(found))


def damages(content: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Every part of a file flipped, the file cut off at every part, and without it."""
    ends = sorted({len(content) * part // PARTS for part in range(PARTS + 1)})
    for begin, end in itertools.pairwise(ends):
        flipped = bytes(byte ^ 0x10 for byte in content[begin:end])
        yield f"{begin} to {end} flipped", content[:begin] + flipped + content[end:]
        yield f"cut off at {begin}", content[:begin]
    yield "gone", None


def restore(folder: Path) -> tuple[int, str, list[str]]:
    """The step of the checkpoint that is used, a hash of its values, what is said."""
    said: list[str] = []
    checkpoints = Checkpoints(folder, keep=2, report=said.append)
    found = checkpoints.restore(TrainState(None, None, {"step": print}))
    checkpoints.close()
    if found is None:
        return 0, "", said
    digest = hashlib.sha256(json.dumps(found[1], sort_keys=True).encode())
    leaves, _ = jax.tree_util.tree_flatten_with_path(found[0])
    for path, leaf in leaves:
        digest.update(jax.tree_util.keystr(path).encode() + value_of(leaf))
    return found[1]["step"], digest.hexdigest(), said


def value_of(leaf: Any) -> bytes:
    if isinstance(leaf, jax.Array | np.ndarray):
        return f"{leaf.dtype}{leaf.shape}".encode() + np.asarray(leaf).tobytes()
    return b"function" if callable(leaf) else repr(leaf).encode()


if __name__ == "__main__":
    main(*sys.argv[1:])
