"""The quick way through plain files reads what the careful way reads."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring import eval_rows
from scoring.eval_rows import EvalFile, read_rows

TIME, STEP, VALUE = "accumulated_submission_time", "global_step", "validation/loss"
HEADER = f"{TIME},{STEP},train/loss,{VALUE}"


def read(folder: Path, content: bytes, metric: str = VALUE) -> EvalFile:
    path = folder / "eval_measurements.csv"
    path.write_bytes(content)
    return read_rows(path, "here", metric)


def what(file: EvalFile) -> list[tuple[str, str, str]]:
    return [(note.what, note.effect, note.detail) for note in file.notes]


def columns(file: EvalFile) -> list[list[float | None]]:
    return [[row.time_s, row.step, row.value] for row in file.rows]


def carefully(folder: Path, content: bytes) -> EvalFile:
    """The same cells, with spaces after every comma: never ordinary."""
    return read(folder, content.replace(b",", b", "))


PROPERTY = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
finite = st.floats(-1e9, 1e9).map(lambda value: f"{value!r}")
number = st.one_of(finite, st.integers(-50, 10**6).map(str), st.just("1e5"))
steps = st.integers(0, 10**9).map(str)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A file of finite numbers, its columns in any order."""
    names = [TIME, STEP, VALUE, "accumulated_eval_time", "accumulated_logging_time"]
    kept = [TIME, VALUE, *draw(st.lists(st.sampled_from(names[1:2] + names[3:])))]
    header = draw(st.permutations([*dict.fromkeys(kept), "train/loss"]))
    cells = [steps if name == STEP else number for name in header]
    rows = draw(st.lists(st.tuples(*cells), min_size=2, max_size=6))
    # Repeated rows and clocks that go back are noted by both ways.
    rows += draw(st.lists(st.sampled_from(rows), max_size=2))
    return "".join(f"{','.join(row)}\n" for row in [header, *rows]).encode()


@PROPERTY
@given(content=tables())
def test_both_ways_read_the_same(tmp_path: Path, content: bytes):
    quick, careful = read(tmp_path, content), carefully(tmp_path, content)
    assert quick.rows == careful.rows
    assert [row.step for row in quick.rows] == [row.step for row in careful.rows]
    assert quick.seconds == careful.seconds
    assert quick.notes == careful.notes


def test_plain_files_go_the_quick_way_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_):
        raise AssertionError("the careful way")

    monkeypatch.setattr(eval_rows, "_take", refuse)
    plain = f"{HEADER}\n1.5,10,0.3,0.5\n2.5,20,0.2,5e-1\n".encode()
    file = read(tmp_path, plain)
    assert columns(file) == [[1.5, 10, 0.5], [2.5, 20, 0.5]]
    assert file.rows.row.tolist() == [0, 1]
    with pytest.raises(AssertionError, match="the careful way"):
        carefully(tmp_path, plain)


A, B = "1,10,0.3,0.5", "2,20,0.2,0.4"
READ = [[1.0, 10, 0.5], [2.0, 20, 0.4]]
OTHERS = "NaN or empty cells in other columns"
NO_TIME, NO_VALUE = "time that is not a number", f"{VALUE} that is not a number"
BACK = "time goes back while the step does not"
QUOTED = f'"{TIME}","{STEP}","train/loss","{VALUE}"'


@pytest.mark.parametrize(
    ("content", "expected", "noted"),
    [
        (f"{HEADER}\n{A}\n{B}", READ, set()),
        (f"{HEADER}\n{A}\n{B}\n3,30,0.1,0.3", [*READ, [3.0, 30, 0.3]], set()),
        (f"{HEADER}\r\n{A}\r\n{B}\r\n", READ, set()),
        (f"{HEADER}\r{A}\r{B}\r", READ, set()),
        (f"\ufeff{HEADER}\n{A}\n{B}\n", READ, set()),
        (f'{QUOTED}\n{A}\n"2","20",0.2,"0.4"\n', READ, set()),
        (f"\n{HEADER}\n\n{A}\n\n{B}\n\n", READ, set()),
        (f"{HEADER}\n{A}\n2,20,,0.4\n", READ, {OTHERS}),
        (f"{HEADER}\n{A}\n2,20,nan,0.4\n", READ, {OTHERS}),
        (f"{HEADER}\n{A}\n2,,0.2,0.4\n", [READ[0], [2.0, None, 0.4]], {OTHERS}),
        (f"{HEADER}\n{A}\n2,x,0.2,0.4\n", [READ[0], [2.0, None, 0.4]], set()),
        (f"{HEADER}\n{A}\n2,20.0,0.2,0.4\n", READ, set()),
        (f"{HEADER}\n{A}\n{B},\n", READ[:1], {"row with another number of cells"}),
        (f"{HEADER}\n{A}\n1_000,20,0.2,0.4\n", READ[:1], {NO_TIME}),
        (f"{HEADER}\n{A}\n1e999,20,0.2,0.4\n", READ[:1], {NO_TIME}),
        (f"{HEADER}\n{A}\ninf,20,0.2,0.4\n", READ[:1], {NO_TIME}),
        (f"{HEADER}\n{A}\n2,20,0.2,1e999\n", [READ[0], [2.0, 20, math.inf]], set()),
        (f"{HEADER}\n{A}\n2,20,0.2,--\n", READ[:1], {NO_VALUE}),
        (f"{HEADER}\n{A}\n-5,20,0.2,0.4\n", [READ[0], [-5.0, 20, 0.4]], {BACK}),
        (f"{HEADER}\n{A}\n{A}\n", [READ[0]] * 2, {"row repeated"}),
        (f"{HEADER}\n{A}\n", READ[:1], {"one row only"}),
        (f"{HEADER}\n", [], {"no row below the header"}),
        (HEADER, [], {"no row below the header"}),
        ("", [], {"empty eval_measurements.csv"}),
        ("\n\n", [], {"empty eval_measurements.csv"}),
    ],
)
def test_files_that_are_not_plain(
    tmp_path: Path, content: str, expected: list, noted: set[str]
):
    file = read(tmp_path, content.encode())
    assert columns(file) == expected
    assert {note.what for note in file.notes} == noted


def test_an_empty_metric_is_read_as_nan(tmp_path: Path):
    file = read(tmp_path, f"{HEADER}\n{A}\n2,20,0.2,\n".encode())
    assert [row.time_s for row in file.rows] == [1.0, 2.0]
    assert np.isnan(file.rows.value).tolist() == [False, True]


def test_two_metric_columns_are_told_apart_by_their_whole_name(tmp_path: Path):
    header = f"{TIME},test/loss,validation/loss_2,{VALUE},train/loss"
    file = read(tmp_path, f"{header}\n1,9,8,0.5,7\n2,9,8,0.4,7\n".encode())
    assert file.rows.value.tolist() == [0.5, 0.4]
    assert not file.notes


@pytest.mark.parametrize("doubled", [TIME, STEP, VALUE, "train/loss"])
def test_of_a_column_that_is_there_twice_the_first_is_read(
    tmp_path: Path, doubled: str
):
    content = f"{HEADER},{doubled}\n{A},77\n{B},78\n".encode()
    file = read(tmp_path, content)
    assert columns(file) == READ
    assert what(file) == [("column twice: the first one is read", "nothing", doubled)]
    assert carefully(tmp_path, content) == file


def test_garbage_bytes_cost_their_line_alone(tmp_path: Path):
    content = f"{HEADER}\n{A}\n".encode() + b"\xff\xfe\x00,9,9,9\n" + f"{B}\n".encode()
    file = read(tmp_path, content)
    assert columns(file) == READ
    assert what(file) == [(NO_TIME, "row ignored", "row 1")]


def test_random_bytes_never_raise(tmp_path: Path):
    rng = random.Random(0)
    whole = f"{HEADER}\n{A}\n{B}\n{A}\n".encode()
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.choice(b'\n\r,"e9.-+\xffn \x00_')
        file = read(tmp_path, bytes(content[: rng.randint(0, len(content))]))
        assert len(file.rows) <= len(whole)
        assert np.isfinite(file.rows.time_s).all()


def test_every_cut_of_the_last_line_is_whole_or_left_out(tmp_path: Path):
    content = f"{HEADER}\n1,10,0.3,0.55\n2,20,0.2,0.45\n3,30,0.1,0.35\n".encode()
    last = content.rindex(b"\n3") + 1
    for end in range(last, len(content)):
        file = read(tmp_path, content[:end])
        whole = end == len(content) - 1
        assert len(file.rows) == 2 + whole, content[last:end]
        if last < end < len(content) - 1:
            assert "line cut off" in {note.what for note in file.notes}


def test_seconds_by_account_are_those_of_the_last_row(tmp_path: Path):
    header = f"{TIME},{VALUE},accumulated_eval_time,accumulated_logging_time"
    content = f"{header}\n1,0.5,0.1,0.2\n2,0.4,0.3,0.4\n".encode()
    expected = {"submission": 2.0, "evaluation": 0.3, "logging": 0.4}
    assert read(tmp_path, content).seconds == expected
    assert carefully(tmp_path, content).seconds == expected
    without = f"{TIME},{VALUE}\n1,0.5\n2,0.4\n".encode()
    assert read(tmp_path, without).seconds == {"submission": 2.0}
