"""Criteo's day files: lines of text to rows of numbers.

A line has a label, 13 counts and 26 categories, separated by tabs. Fields that are
empty or -1 are missing: 0, or the category 00000000. Counts below 0 count as 0.
"""

import gzip
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.facts import UserError
from workloads.criteo.dlrm import NUM_COUNTS
from workloads.criteo.hashing import category_ids
from workloads.criteo.rows import DTYPE, NUM_COLUMNS

BLOCK_BYTES = 8 << 20  # parsed at a time, by one thread
MISSING = b"00000000"
_MAX_COUNT = np.iinfo(DTYPE).max
_HEX = b"0123456789abcdefABCDEF"
_NEVER = (b" ", b"x", b"X")
_LABELS = (b"0", b"1", b"-1", b"")
_COUNT = re.compile(rb"(-?\d+)?")
_CATEGORY = re.compile(rb"-1|[0-9a-fA-F]{0,30}")


def read_rows(
    path: Path, start: int, stop: int, threads: int = 1
) -> Iterator[np.ndarray]:
    """Lines `start` to `stop` of a day file, gzipped or not, as rows uint32 [_, 40].

    Blocks come in the order of the file; a few of them are in memory. There are fewer
    rows where the file ends before.

    Raises:
      UserError: the file cannot be read, or a line is not as it should be.
    """
    under_way: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="parse") as pool:
        try:
            for line, block in _blocks(path, start, stop):
                under_way.append(pool.submit(parse, block, path, line))
                if len(under_way) > threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def parse(text: bytes, path: Path, first_line: int = 1) -> np.ndarray:
    """Whole lines as rows uint32 [line, 40].

    `path` and `first_line` are where they are from, for errors.

    Raises:
      UserError: a line does not have 40 fields, or one of them is no number, not
        hexadecimal, or no label.
    """
    import pyarrow as pa

    try:
        # Arrow would take these for numbers.
        if any(character in text for character in _NEVER):
            raise ValueError("a space, or an x")
        columns = _columns(text)
        rows = np.empty((len(columns[0]), NUM_COLUMNS), DTYPE)
        for place, column in enumerate(columns[: 1 + NUM_COUNTS]):
            rows[:, place] = _counts(column)
        labels = columns[0].fill_null(0).to_numpy(zero_copy_only=False)
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("a label is neither 0 nor 1")
        for place, column in enumerate(columns[1 + NUM_COUNTS :]):
            rows[:, 1 + NUM_COUNTS + place] = category_ids(_categories(column), place)
        if len(rows) != text.count(b"\n"):
            raise ValueError("empty lines")
    except (pa.ArrowInvalid, ValueError, UserError) as error:
        raise UserError(f"{path}, {_what_is_wrong(text, first_line, error)}") from None
    return rows


def _columns(text: bytes) -> list[Any]:
    """Arrow arrays, one a column: int64, then binary."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(column) for column in range(NUM_COLUMNS)]
    types = dict.fromkeys(names, pa.binary())
    types |= dict.fromkeys(names[: 1 + NUM_COUNTS], pa.int64())
    table = csv.read_csv(
        pa.BufferReader(text),
        csv.ReadOptions(
            use_threads=False, block_size=len(text) + 1, column_names=names
        ),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        csv.ConvertOptions(column_types=types, null_values=["", "-1"]),
    )
    return [column.combine_chunks() for column in table.columns]


def _counts(column: Any) -> np.ndarray:
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    if len(values) and values.max() > _MAX_COUNT:
        raise ValueError("a count does not fit 32 bits")
    return np.maximum(values, 0)


def _categories(column: Any) -> np.ndarray:
    """Byte strings [row], with `MISSING` where there is none."""
    _, offsets_buffer, values_buffer = column.buffers()
    window = slice(column.offset, column.offset + len(column) + 1)
    offsets = np.frombuffer(offsets_buffer, np.int32)[window]
    characters = np.frombuffer(values_buffer or b"", np.uint8)
    lengths = np.diff(offsets)
    eight = lengths == 8
    if np.all(eight | (lengths == 0)):
        characters = characters[offsets[0] : offsets[-1]]
        strings = np.full(len(lengths), MISSING)
        strings[eight] = characters.view("S8")
        text = characters.tobytes()
    else:
        values = [
            MISSING if value in (b"", b"-1") else value for value in column.to_pylist()
        ]
        strings, text = np.array(values, np.bytes_), b"".join(values)
    if text.translate(None, _HEX):
        raise ValueError("a category is not hexadecimal")
    return strings


def _what_is_wrong(text: bytes, first_line: int, error: Exception) -> str:
    """Names the first line that is not right, and what it has."""
    for number, line in enumerate(text.split(b"\n")[:-1], first_line):
        fields = line.split(b"\t")
        where = f"line {number:,}"
        if len(fields) != NUM_COLUMNS:
            return (
                f"{where} has {len(fields)} fields, and should have {NUM_COLUMNS} "
                "with tabs between them. Fetch the file again."
            )
        for place, field in enumerate(fields):
            allowed = _not_allowed(place, field)
            if allowed:
                return (
                    f"{where} has {field[:40]!r} in column {place + 1}, and should "
                    f"have {allowed}, -1 or nothing. Fetch the file again."
                )
    return f"line {first_line:,} or after it: {error}. Fetch the file again."


def _not_allowed(place: int, field: bytes) -> str:
    """What a field should be instead; nothing if it is right."""
    if place > NUM_COUNTS:
        return "" if _CATEGORY.fullmatch(field) else "hexadecimal digits"
    if place == 0:
        return "" if field in _LABELS else "0, 1"
    is_right = _COUNT.fullmatch(field) and int(field or 0) <= _MAX_COUNT
    return "" if is_right else "an integer below 2^32"


def _blocks(path: Path, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """(number of its first line, from 1; whole lines) of lines `start` to `stop`."""
    line = 0
    for text in _whole_lines(path):
        if line >= stop:
            return
        count = text.count(b"\n")
        if line < start or line + count > stop:
            first, last = max(start - line, 0), min(stop - line, count)
            cut = _cut(text, first, last) if first < last else b""
        else:
            first, cut = 0, text
        if cut:
            yield line + first + 1, cut
        line += count


def _cut(text: bytes, first: int, last: int) -> bytes:
    """Lines `first` to `last` of a text."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    return text[ends[first - 1] if first else 0 : ends[last - 1]]


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The file in blocks that end with a line."""
    rest = b""
    try:
        with _open(path) as file:
            while block := file.read(BLOCK_BYTES):
                whole, newline, tail = block.rpartition(b"\n")
                if newline:
                    yield rest + whole + newline
                    rest = tail
                else:
                    rest += block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is damaged: {error}. It was not fetched as a whole, or changed "
            "afterwards. Fetch it again."
        ) from None
    if rest:
        yield rest + b"\n"


def _open(path: Path) -> io.BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb", buffering=0)  # type: ignore[return-value]
