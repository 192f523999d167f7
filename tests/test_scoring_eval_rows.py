"""Reading one eval_measurements.csv, whatever state a run left it in."""

from pathlib import Path

import pytest
from score_trees import HEADER, write_text
from test_scoring_load import GOOD, LOST, RULES, TRIAL, kinds, points

from scoring.load import load_logs

IGNORED = "row ignored"
A, B = "10.0,0,10.0,0.1,0.5", "20.0,100,20.0,0.1,0.95"
NOT_NUMBER = "validation/accuracy that is not a number"


@pytest.mark.parametrize(
    ("lines", "expected", "kind"),
    [
        ([], [], (LOST, "empty eval_measurements.csv")),
        ([HEADER], [], (LOST, "no row below the header")),
        ([A, B], [], (LOST, "no header")),
        ([HEADER, A], GOOD[:1], ("nothing", "one row only")),
        ([HEADER, A, HEADER, B], GOOD, ("nothing", "header repeated")),
        ([HEADER, A, B, B], [*GOOD, GOOD[1]], ("nothing", "row repeated")),
        (
            [HEADER, A, "15,oops", B],
            GOOD,
            (IGNORED, "row with another number of cells"),
        ),
        ([HEADER, A, "15,1,15,1,0.9x", B], GOOD, (IGNORED, NOT_NUMBER)),
        ([HEADER, A, "15,1,15,1,1_0", B], GOOD, (IGNORED, NOT_NUMBER)),
        ([HEADER, A, "x,1,15,1,0.99", B], GOOD, (IGNORED, "time that is not a number")),
        (
            [HEADER, A, "nan,1,1,1,0.99", B],
            GOOD,
            (IGNORED, "time that is not a number"),
        ),
        ([HEADER, A, ",1,1,1,0.99", B], GOOD, (IGNORED, "time that is not a number")),
        (
            [HEADER, "10.0,0,10.0,nan,0.5", B],
            GOOD,
            ("nothing", "NaN or empty cells in other columns"),
        ),
        (
            ["accumulated_submission_time,global_step", "1,2"],
            [],
            (LOST, "no column validation/accuracy"),
        ),
        (
            ["global_step,validation/accuracy", "1,0.99"],
            [],
            (LOST, "no column accumulated_submission_time"),
        ),
        (
            [HEADER, "30,200,30,0.1,0.5", "20.0,100,20.0,0.1,0.95"],
            [(30.0, 0.5), GOOD[1]],
            ("nothing", "time and step go back (resumed)"),
        ),
        (
            [HEADER, "30,50,30,0.1,0.5", "20.0,100,20.0,0.1,0.95"],
            [(30.0, 0.5), GOOD[1]],
            ("time counted as written", "time goes back while the step does not"),
        ),
    ],
)
def test_odd_files(
    tmp_path: Path,
    lines: list[str],
    expected: list[tuple[float, float]],
    kind: tuple[str, str],
):
    write_text(tmp_path / TRIAL, "".join(f"{line}\n" for line in lines))
    logs = load_logs(tmp_path, RULES)
    assert points(logs) == expected
    assert kinds(logs) == {kind}


@pytest.mark.parametrize(
    ("last", "used"),
    [
        ("20.0,100,20.0,0.1,0.95", True),  # only the line end is missing
        ("20.0,100,20.0,0.1,0.", False),
        ("20.0,100,20.0,0.1,9", False),  # cut from 9e-05, maybe
        ("20.0,100,20", False),
    ],
)
def test_a_last_line_without_end_is_used_only_if_it_looks_whole(
    tmp_path: Path, last: str, used: bool
):
    write_text(tmp_path / TRIAL, f"{HEADER}\n{A}\n{last}")
    logs = load_logs(tmp_path, RULES)
    assert len(logs.trials[0].rows) == 1 + used
    assert kinds(logs) == (set() if used else {(IGNORED, "line cut off")})


def test_an_empty_metric_is_nan(tmp_path: Path):
    write_text(tmp_path / TRIAL, f"{HEADER}\n{A}\n20,1,20,0.1,\n")
    (_, last) = load_logs(tmp_path, RULES).trials[0].rows
    assert last.value != last.value


def test_encodings_line_ends_quotes_and_unreadable_bytes(tmp_path: Path):
    folder = tmp_path / TRIAL
    folder.mkdir(parents=True)
    text = b"\xef\xbb\xbf" + f'{HEADER}\r\n{A}\r\n"20.0",100,20.0,0.1,0.95\r\n'.encode()
    (folder / "eval_measurements.csv").write_bytes(text + b"\xff\x00,1,2,3,4\r\n")
    logs = load_logs(tmp_path, RULES)
    assert points(logs) == GOOD
    assert (IGNORED, "time that is not a number") in kinds(logs)


def test_score_stands_in_for_the_submission_time(tmp_path: Path):
    write_text(tmp_path / TRIAL, "score,validation/accuracy\n10,0.5\n20,0.95\n")
    logs = load_logs(tmp_path, RULES)
    assert points(logs) == GOOD
    assert logs.trials[0].rows[0].step is None
    assert not logs.notes
