"""Lines of Criteo's logs to rows, and what can be wrong with them."""

import gzip
from pathlib import Path

import click_logs as logs
import numpy as np
import pytest

from algoperf.facts import UserError
from workloads.criteo import text
from workloads.criteo.text import parse, read_rows

FILE = Path("day_0")
GOOD = logs.fields(0, 3)


def refused(content: bytes, first_line: int = 1) -> str:
    with pytest.raises(UserError) as error:
        parse(content, FILE, first_line)
    return str(error.value)


def changed(column: int, value: str) -> bytes:
    """A good line, one with another value, and one that is good again."""
    line = [*GOOD]
    line[column] = value
    return logs.text(GOOD) + logs.text(line) + logs.text(GOOD)


def rows_of(path: Path, start: int, stop: int, threads: int = 2) -> np.ndarray:
    return np.concatenate(list(read_rows(path, start, stop, threads)))


def test_lines_become_the_rows_that_plain_python_makes():
    rows = parse(b"".join(logs.day_lines(2)), FILE)
    assert rows.dtype == np.uint32
    expected = [logs.row(logs.fields(2, i)) for i in range(31)]
    np.testing.assert_array_equal(rows, expected)


def test_values_of_eight_digits_have_the_same_ids_as_among_others():
    line = [*GOOD[:14], *["68fd1e64"] * 13, *[""] * 13]
    mixed = [*GOOD[:14], *["-1"] * 13, *["1a"] * 13]
    alone = parse(logs.text(line), FILE)
    together = parse(logs.text(mixed) + logs.text(line), FILE)
    np.testing.assert_array_equal(together[1:], alone)
    np.testing.assert_array_equal(alone[0], logs.row(line))
    np.testing.assert_array_equal(together[0], logs.row(mixed))


def test_lines_may_end_as_on_windows():
    lines = logs.text(GOOD) * 3
    np.testing.assert_array_equal(
        parse(lines.replace(b"\n", b"\r\n"), FILE), parse(lines, FILE)
    )


def test_missing_and_negative_counts_are_zero():
    for value in ("", "-1", "-2", "-300", "0"):
        assert parse(changed(4, value), FILE)[1, 4] == 0


def test_a_missing_category_is_eight_zeros():
    ids = {
        int(parse(changed(20, value), FILE)[1, 20]) for value in ("", "-1", "00000000")
    }
    assert len(ids) == 1


@pytest.mark.parametrize("count", [39, 41, 1])
def test_a_line_with_another_number_of_fields_is_named(count):
    line = (GOOD * 2)[:count] if count > 1 else [""]
    content = logs.text(GOOD) + logs.text(line)
    assert refused(content, first_line=500_000) == (
        f"day_0, line 500,001 has {count} fields, and should have 40 with tabs between "
        "them. Fetch the file again."
    )


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        (0, "x", "0, 1"),
        (0, "2", "0, 1"),
        (0, "-2", "0, 1"),
        (3, " 5", "an integer below 2^32"),
        (3, "5 ", "an integer below 2^32"),
        (3, "0x1F", "an integer below 2^32"),
        (20, "0x123456", "hexadecimal digits"),
        (1, "3.5", "an integer below 2^32"),
        (2, "-", "an integer below 2^32"),
        (13, "4294967296", "an integer below 2^32"),
        (13, "99999999999999999999", "an integer below 2^32"),
        (14, "0123456g", "hexadecimal digits"),
        (25, "123\x004567", "hexadecimal digits"),
        (30, "-2", "hexadecimal digits"),
        (38, "68fd1e6\r", "hexadecimal digits"),
        (20, 32 * "a", "hexadecimal digits"),
    ],
)
def test_a_field_that_is_no_number_is_named(column, value, allowed):
    assert refused(changed(column, value)) == (
        f"day_0, line 2 has {value.encode()!r} in column {column + 1}, and should have "
        f"{allowed}, -1 or nothing. Fetch the file again."
    )


def test_blocks_of_any_size_give_the_same_rows(tmp_path, monkeypatch):
    path = logs.write_days(tmp_path) / "day_2"
    path.write_bytes(path.read_bytes()[:-1])  # no newline at the end
    expected = np.array([logs.row(logs.fields(2, i)) for i in range(31)])
    for block_bytes in (50, 700, 1 << 20):
        monkeypatch.setattr(text, "BLOCK_BYTES", block_bytes)
        for start, stop in ((0, 31), (0, 99), (3, 17), (20, 31), (30, 31)):
            found = rows_of(path, start, stop)
            np.testing.assert_array_equal(found, expected[start:stop])
        assert list(read_rows(path, 31, 40)) == []


def test_gzipped_files_are_read_as_they_are(tmp_path):
    plain = logs.write_days(tmp_path) / "day_1"
    zipped = logs.write_days(tmp_path, ".gz") / "day_1.gz"
    np.testing.assert_array_equal(rows_of(zipped, 2, 15), rows_of(plain, 2, 15))


def test_an_error_has_the_number_of_the_line_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "BLOCK_BYTES", 1_000)
    lines = logs.day_lines(2)
    lines[24] = changed(14, "xyz").splitlines(keepends=True)[1]
    path = tmp_path / "day_2"
    path.write_bytes(b"".join(lines))
    for start in (0, 10, 24):
        with pytest.raises(UserError, match=r"day_2, line 25 has b'xyz' in column 15"):
            rows_of(path, start, 31)


@pytest.mark.parametrize("left", [0.3, 0.9])
def test_a_truncated_gz_is_damaged(tmp_path, left):
    path = logs.write_days(tmp_path, ".gz") / "day_0.gz"
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    with pytest.raises(UserError, match=r"day_0.gz is damaged: .*Fetch it again"):
        rows_of(path, 0, 23)


def test_a_changed_gz_is_damaged(tmp_path):
    path = tmp_path / "day_0.gz"
    content = bytearray(gzip.compress(b"".join(logs.day_lines(0))))
    content[-8] ^= 1  # the checksum
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"day_0.gz is damaged: CRC check failed"):
        rows_of(path, 0, 23)
