"""Prepares the click logs: every raw file becomes one of rows with hashed categories.

From Criteo's files of a day, gzipped or not, or from AlgoPerf's, which have 5,000,000
lines each. The rows stay in their order, so all of these give the same rows.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from algoperf.facts import UserError
from algoperf.prepare.plan import (
    Part,
    Preparation,
    Raw,
    RawFile,
    Source,
    Unit,
    nothing_to_finish,
)
from workloads.criteo.rows import DTYPE, NUM_COLUMNS, ROW_BYTES
from workloads.criteo.text import read_rows

_ASK = "Criteo (ailab.criteo.com, download of the 1 TB click logs)"
# Lines of day_0 ... day_23. The first 23 days are the 4,195,197,692 of training.
_DAY_ROWS = (
    *(195_841_983, 199_563_535, 196_792_019, 181_115_208, 152_115_810, 172_548_507),
    *(204_846_845, 200_801_003, 193_772_492, 198_424_372, 185_778_055, 153_588_700),
    *(169_003_364, 194_216_520, 194_081_279, 187_154_596, 177_984_934, 163_382_602),
    *(142_061_091, 156_534_237, 193_627_464, 192_215_183, 189_747_893, 178_274_637),
)


@dataclass(frozen=True)
class Sizes:
    """What the whole logs have; tests have smaller ones.

    All days but the last are for training. The last one begins with `test_rows` of
    the test set, which are whole chunks of `chunk_rows`; the others are for validation.
    """

    day_rows: tuple[int, ...] = _DAY_ROWS
    chunk_rows: int = 5_000_000
    test_rows: int = 95_000_000


class Piece(NamedTuple):
    """Lines of a raw file that become a file. `ends` if it should end with them."""

    raw: str
    split: str
    name: str
    first_line: int
    rows: int
    ends: bool


def preparation(sizes: Sizes | None = None) -> Preparation:
    """The Criteo 1TB click logs."""
    sizes = sizes or Sizes()
    *train, last = sizes.day_rows
    return Preparation(
        folder="criteo1tb",
        summary="Criteo 1TB click logs",
        parts=(
            Part(
                "criteo1tb",
                {
                    "train": sum(train),
                    "validation": last - sizes.test_rows,
                    "test": sizes.test_rows,
                },
                (
                    _source("AlgoPerf's files", tuple(_chunks(sizes, ""))),
                    _source("AlgoPerf's files, .csv", tuple(_chunks(sizes, ".csv"))),
                    _source("AlgoPerf's files, .gz", tuple(_chunks(sizes, ".gz"))),
                    _source("Criteo's files", tuple(_days(sizes, ".gz"))),
                    _source("Criteo's files, unpacked", tuple(_days(sizes, ""))),
                    _source("Criteo's files, .csv", tuple(_days(sizes, ".csv"))),
                ),
            ),
        ),
        bytes_per_s=100e6,
    )


def _chunks(sizes: Sizes, suffix: str) -> Iterator[Piece]:
    last_day = len(sizes.day_rows) - 1
    for day, day_rows in enumerate(sizes.day_rows):
        for number, start in enumerate(range(0, day_rows, sizes.chunk_rows)):
            held_out = "test" if start < sizes.test_rows else "validation"
            yield Piece(
                raw=f"day_{day}_{number:02d}{suffix}",
                split=held_out if day == last_day else "train",
                name=f"day_{day:02d}_{number:02d}",
                first_line=0,
                rows=min(sizes.chunk_rows, day_rows - start),
                ends=True,
            )


def _days(sizes: Sizes, suffix: str) -> Iterator[Piece]:
    *train, last = sizes.day_rows
    for day, rows in enumerate(train):
        yield Piece(f"day_{day}{suffix}", "train", f"day_{day:02d}", 0, rows, True)
    day, test = len(train), sizes.test_rows
    raw, name = f"day_{day}{suffix}", f"day_{day:02d}"
    yield Piece(raw, "test", name, 0, test, False)
    yield Piece(raw, "validation", name, test, last - test, True)


def _source(what: str, pieces: Sequence[Piece]) -> Source:
    """The first and the last file are looked for: one alone is no set. All others are
    beside the last."""
    files = (
        RawFile(pieces[0].raw, how_to_get=f"{_ASK}, and all up to the last"),
        RawFile(pieces[-1].raw, how_to_get=_ASK),
    )
    units = functools.partial(_units, pieces)
    return Source(what, files, units, nothing_to_finish)


def _units(pieces: Sequence[Piece], raw: Raw, folder: Path) -> list[Unit]:
    home = raw[pieces[-1].raw].parent
    names = dict.fromkeys(piece.raw for piece in pieces)
    absent = [name for name in names if not (home / name).is_file()]
    if absent:
        more = f" and {len(absent) - 5:,} more" if len(absent) > 5 else ""
        raise UserError(
            f"{home} has {len(names) - len(absent):,} of {len(names):,} files; "
            f"missing: {', '.join(absent[:5])}{more}. Put them there."
        )
    return [
        Unit(
            f"{piece.split}/{piece.name}.npy",
            piece.split,
            piece.rows * ROW_BYTES,
            functools.partial(_write, home / piece.raw, piece),
        )
        for piece in pieces
    ]


def _write(raw: Path, piece: Piece, target: Path) -> int:
    """Writes the rows as an array in .npy format; returns how many there are."""
    stop = piece.first_line + piece.rows
    header = {
        "descr": DTYPE.str,
        "fortran_order": False,
        "shape": (piece.rows, NUM_COLUMNS),
    }
    found = 0
    with target.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        threads = os.cpu_count() or 1
        # One line more than there should be, to see whether the file ends.
        for rows in read_rows(raw, piece.first_line, stop + piece.ends, threads):
            file.write(rows.data)
            found += len(rows)
    if found != piece.rows:
        has = f"{piece.first_line + found:,} lines" if found < piece.rows else "more"
        raise UserError(
            f"{raw} should have {stop:,} lines, and has {has}. It is incomplete, or "
            "another file. Fetch it again."
        )
    return found
