"""Raw files that a workload reads as they are: preparing is checking and copying."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

from algoperf.prepare.plan import Unit


def copied(
    source: Path, folder: Path, name: str, split: str, count: Callable[[Path], int]
) -> Unit:
    """The unit that copies `source` to `folder`/`name`, or takes it if it is there.

    `count(path)` checks a copy and returns how many examples are in it.
    """
    return Unit(
        path=name,
        split=split,
        bytes=source.stat().st_size,
        make=functools.partial(_copy, source, count),
        adopt=source.resolve() == (folder / name).resolve(),
    )


def _copy(source: Path, count: Callable[[Path], int], target: Path) -> int:
    if source.resolve() != target.resolve():
        shutil.copyfile(source, target)
    return count(target)
