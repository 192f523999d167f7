"""`algoperf score`: flags, output, files and messages."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from score_trees import write_trial

from algoperf.cli.main import main as algoperf
from algoperf.facts import UserError
from scoring.cli import default_output, main

ROWS = [(10.0, 0.5), (20.0, 0.999)]
SLOW = [(10.0, 0.5), (31.0, 0.999)]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two submissions with every planned study and trial of digits."""
    root = tmp_path / "logs"
    for name, rows in (("adam", ROWS), ("sgd", SLOW)):
        for study in range(3):
            for trial in range(1, 6):
                at = f"{name}/study_{study}/digits_jax/trial_{trial}"
                write_trial(root / at, rows)
    return root


def score(root: Path, *flags: str) -> int:
    return main([f"--submission_directory={root}", "--workloads=digits", *flags])


def scores_of(root: Path) -> dict:
    def refuse(constant: str):
        raise AssertionError(f"not strict JSON: {constant}")

    text = (default_output(root) / "scores.json").read_text()
    return json.loads(text, parse_constant=refuse)


def test_leaderboard_on_screen_and_in_files(
    logs: Path, capsys: pytest.CaptureFixture[str]
):
    assert score(logs, "--strict") == 0
    screen = capsys.readouterr().out
    assert "Leaderboard (rules mini, 1 workload)" in screen
    lines = screen.splitlines()
    header = (
        "rank, submission, ruleset, score, 95 %, ranks, P(first), speed-up, reached"
    )
    assert re.split("  +", lines[1]) == [*header.split(", "), "score from 0 to 1"]
    bar = f"{19 * '.'}#"
    assert (
        lines[3].split() == f"1 adam external 1.0000 1.00 1 100% - 1 of 1 {bar}".split()
    )
    bar = f"{16 * '.'}#..."
    assert lines[4].split() == f"2 sgd external 0.8167 0.82 2 0% - 1 of 1 {bar}".split()
    assert "20.0 (100)  31.0 (100)" in screen
    assert "1.000  1.550" in screen
    assert "all planned studies found: 3" in screen
    with (logs.parent / "logs_scores/leaderboard.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["submission"] for line in lines] == ["adam", "sgd"]
    assert float(lines[1]["score"]) == pytest.approx(2.45 / 3)
    scores = scores_of(logs)
    assert scores["leaderboard"][0]["submission"] == "adam"
    assert scores["rules"]["studies"] == 3
    sgd = scores["workloads"]["sgd"]["digits"]
    assert (sgd["time_s"], sgd["ratio"], sgd["step"]) == (31.0, 1.55, 100.0)
    assert [study["fastest"]["trial"] for study in sgd["studies"]] == [1, 1, 1]
    assert len(scores["profile"]["taus"]) == len(scores["profile"]["rho"]["sgd"]) == 100
    assert not list((logs.parent / "logs_scores").glob(".*"))  # nothing unfinished


def test_not_reached_is_null_in_json(logs: Path):
    write_trial(logs / "lion/study_0/digits_jax/trial_1", [(5.0, 0.1)])
    assert score(logs) == 0
    lion = scores_of(logs)["workloads"]["lion"]["digits"]
    assert (lion["time_s"], lion["ratio"], lion["counted_time_s"]) == (None, None, None)


def test_unfinished_runs_are_told_and_can_be_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_trial(tmp_path / "logs/adam/study_0/digits_jax/trial_1", ROWS)
    assert score(tmp_path / "logs") == 0
    screen = capsys.readouterr().out
    line = screen.splitlines()[3]
    # Of three studies the one that is there is drawn twice or more in 7 of 27.
    bar = f"#{19 * '-'}"
    expected = f"1 adam external 0.0000 0.00 to 1.00 1 100% - 0 of 1 {bar}"
    assert line.split() == expected.split()
    assert "1 of 3 planned studies found: adam; a missing study counts" in screen
    assert "too few for any finite median (--studies=1 scores a single" in screen
    assert "counted as not reached      2  study missing" in screen
    assert score(tmp_path / "logs", "--studies=1") == 0
    line = capsys.readouterr().out.splitlines()[3]
    bar = f"{19 * '.'}#"
    assert line.split() == f"1 adam external 1.0000 - - - - 1 of 1 {bar}".split()


def test_rulesets(logs: Path, capsys: pytest.CaptureFixture[str]):
    for study in range(3):
        at = logs / f"free/study_{study}/digits_jax/trial_1"
        write_trial(at, ROWS, ruleset="self")
    score(logs)
    assert "rulesets separately: --tuning_ruleset=external" in capsys.readouterr().out
    score(logs, "--tuning_ruleset=self")
    assert [e["submission"] for e in scores_of(logs)["leaderboard"]] == ["free"]
    score(logs, "--tuning_ruleset=external", "--submissions=sgd,free")
    assert [e["submission"] for e in scores_of(logs)["leaderboard"]] == ["sgd"]
    with pytest.raises(UserError) as error:
        score(logs, "--tuning_ruleset=self", "--submissions=sgd")
    assert str(error.value) == (
        f"{logs} has no submission of --tuning_ruleset=self; "
        "found: sgd (external). Leave the flag out to rank them."
    )


def test_trapezoid(logs: Path, capsys: pytest.CaptureFixture[str]):
    score(logs, "--trapezoid")
    entry = scores_of(logs)["leaderboard"][1]
    assert entry["score"] == entry["trapezoid"] != entry["exact"]
    assert "100-point trapezoid" in capsys.readouterr().out


def test_strict_refuses_what_touches_the_score(logs: Path):
    (logs / "README").write_text("")
    assert score(logs, "--strict") == 0
    (logs / "sgd/study_1/digits_jax/trial_3/eval_measurements.csv").unlink()
    with pytest.raises(UserError) as error:
        score(logs, "--strict")
    assert str(error.value) == (
        "--strict: 1 irregularities of the logs touch what is scored; nothing was "
        "written. Correct the logs, or leave --strict out:\n"
        "  sgd/study_1/digits_jax/trial_3: no eval_measurements.csv "
        "(outcome: reached); effect: counted as not reached"
    )


def test_no_common_workload_names_the_rules_that_fit(tmp_path: Path):
    write_trial(tmp_path / "adam/study_0/wmt_jax/trial_1")
    with pytest.raises(UserError) as error:
        main([f"--submission_directory={tmp_path}"])
    assert str(error.value).endswith(
        "found: wmt. --rules=a100 or --rules=v0.5 or --rules=v0.6 know some."
    )


def test_the_default_output_is_beside_the_logs(tmp_path: Path):
    assert default_output(tmp_path / "a/logs") == tmp_path / "a/logs_scores"


def test_output_inside_the_logs_is_no_submission(
    logs: Path, capsys: pytest.CaptureFixture[str]
):
    for _ in range(2):
        assert score(logs, f"--output_dir={logs / 'scores'}", "--strict") == 0
    assert "scores:" not in capsys.readouterr().out


def test_output_that_cannot_be_written(logs: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write scores into .*file"):
        score(logs, f"--output_dir={tmp_path / 'file'}")


def test_exit_codes_and_help(logs: Path, capsys: pytest.CaptureFixture[str]):
    assert algoperf(["score", "--help"]) == 0
    assert "--tuning_ruleset" in capsys.readouterr().out
    assert algoperf(["score"]) == 2
    assert "--submission_directory is missing" in capsys.readouterr().err
    assert algoperf(["score", f"--submission_directory={logs}", "--rules=v9"]) == 2
    assert "no scoring rules 'v9'" in capsys.readouterr().err


def test_scoring_imports_neither_jax_nor_pandas():
    code = (
        "import sys, scoring.cli; "
        "heavy = {'jax', 'flax', 'pandas', 'optax', 'scipy'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
