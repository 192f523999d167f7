"""Click logs of three short days, and what their rows should be, by plain Python."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from test_criteo_hashing import fingerprint_by_integers

from algoperf.facts import Split
from algoperf.prepare.run import prepare
from workloads.criteo.hashing import VOCABULARY_SIZES
from workloads.criteo.prepare import Sizes, preparation

SIZES = Sizes(day_rows=(23, 17, 31), chunk_rows=10, test_rows=20)
EXAMPLES: Mapping[Split, int] = {
    "train": 40,
    "eval_train": 13,
    "validation": 11,
    "test": 20,
}
# A few of what there is; the first of each is missing, and so is the second.
COUNTS = ("", "-1", "-2", "0", "7", "4294967295")
CATEGORIES = ("", "-1", "00000000", "68fd1e64", "80e26c9b", "FB936136", "a", "123abc")


def fields(day: int, line: int) -> list[str]:
    """A line of a day. Its first count says which one it is."""
    number = 100 * day + line
    counts = [COUNTS[(number + 5 * i) // 3 % len(COUNTS)] for i in range(12)]
    categories = [
        CATEGORIES[(number + 3 * i) // 2 % len(CATEGORIES)] for i in range(26)
    ]
    return [str(number % 2), str(number), *counts, *categories]


def day_lines(day: int) -> list[bytes]:
    """All lines of a day, with their ends."""
    return [text(fields(day, i)) for i in range(SIZES.day_rows[day])]


def text(line: Sequence[str]) -> bytes:
    return "\t".join(line).encode() + b"\n"


def row(line: Sequence[str]) -> list[int]:
    """The row that a line should become: label, 13 counts, 26 ids."""
    numbers = [max(int(field or 0), 0) for field in line[:14]]
    values = ["00000000" if field in ("", "-1") else field for field in line[14:]]
    ids = [
        fingerprint_by_integers(f"{value}{i}".encode()) % size
        for i, (value, size) in enumerate(zip(values, VOCABULARY_SIZES, strict=True))
    ]
    return numbers + ids


def split_rows(split: str) -> np.ndarray:
    """The rows of `train`, `validation` or `test`, in the order of the logs."""
    days = [
        [row(fields(day, i)) for i in range(count)]
        for day, count in enumerate(SIZES.day_rows)
    ]
    rows = {
        "train": [*days[0], *days[1]],
        "test": days[2][: SIZES.test_rows],
        "validation": days[2][SIZES.test_rows :],
    }
    return np.array(rows[split], np.uint32)


def write_days(folder: Path, suffix: str = "") -> Path:
    """Criteo's files, gzipped if the suffix says so."""
    folder.mkdir(parents=True, exist_ok=True)
    for day in range(len(SIZES.day_rows)):
        content = b"".join(day_lines(day))
        _write(folder / f"day_{day}{suffix}", content)
    return folder


def write_chunks(folder: Path, suffix: str = "") -> Path:
    """AlgoPerf's files, gzipped if the suffix says so."""
    folder.mkdir(parents=True, exist_ok=True)
    for day in range(len(SIZES.day_rows)):
        lines = day_lines(day)
        for number, start in enumerate(range(0, len(lines), SIZES.chunk_rows)):
            part = lines[start : start + SIZES.chunk_rows]
            _write(folder / f"day_{day}_{number:02d}{suffix}", b"".join(part))
    return folder


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def prepared(folder: Path) -> Path:
    """The folder `criteo1tb`, made of AlgoPerf's files below `folder`."""
    raw = write_chunks(folder / "raw")
    prepare(preparation(SIZES), raw, folder / "data", lambda line: None)
    return folder / "data" / "criteo1tb"
