"""`algoperf score`: comparing, references, own rules, seeds, what is written."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from score_trees import INF, one_trial_each, rules_for, write_tree

from algoperf.cli.main import main as algoperf
from scoring.cli import main

TIMES = {
    "adam": {"a": [10, 11, 12], "b": [10, 20, 30]},
    "sgd": {"a": [30, 31, 32], "b": [12, 21, 28]},
    "lion": {"a": [11, 12, INF], "b": [INF] * 3},
}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    rules = asdict(rules_for("a", "b", budget_s=100.0))
    (tmp_path / "own.json").write_text(json.dumps(rules))
    return write_tree(tmp_path / "logs", one_trial_each(TIMES))


def flags_for(logs: Path, *flags: str) -> list[str]:
    own = logs.parent / "own.json"
    return [
        f"--submission_directory={logs}",
        f"--rules={own}",
        "--resamples=50",
        *flags,
    ]


def run(capsys: pytest.CaptureFixture[str], logs: Path, *flags: str) -> str:
    capsys.readouterr()
    assert main(flags_for(logs, *flags)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], logs: Path, *flags: str) -> str:
    """The message of a command that fails as a user's mistake."""
    capsys.readouterr()
    assert algoperf(["score", *flags_for(logs, *flags)]) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert "Leaderboard" not in out
    assert not (logs.parent / "logs_scores").exists()
    return err


def test_two_submissions_are_compared_however_they_are_named(logs: Path, capsys):
    expected = run(capsys, logs, "--compare=adam,sgd")
    assert expected.startswith("adam against sgd: above 1x, adam is faster\n")
    assert "not separated" in expected
    for flags in (
        ["--compare", "adam", "sgd"],
        ["-compare", "adam", "sgd"],
        ["--compare", "adam,sgd"],
        ["--compare=adam,sgd", "--noreport"],
        ["--compare", "adam,sgd", "--seed=0", "--noreport"],
        ["--compare", "adam", "sgd", "--noreport"],
    ):
        assert run(capsys, logs, *flags) == expected
    other = run(capsys, logs, "--compare", "sgd", "adam")
    assert other.startswith("sgd against adam: ")
    # Nothing is written: a comparison is for the screen.
    assert not (logs.parent / "logs_scores").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--compare=adam"],
            "--compare takes two submissions, found 1: --compare A B.",
        ),
        (["--compare", "adam"], "--compare takes two submissions, found 1"),
        (["--compare", "adam", "--seed=0"], "--compare takes two submissions, found 1"),
        (["--compare=a,b,c"], "--compare takes two submissions, found 3"),
        (
            ["--compare", "adam", "sdg"],
            "--compare: no submission 'sdg' is ranked here; did you mean sgd? "
            "All: adam, sgd, lion.",
        ),
        (
            ["--reference=adm"],
            "--reference: no submission 'adm' is ranked here; did you mean adam? All: ",
        ),
        (["--submissions=adan"], "has no submission 'adan'; did you mean adam? All: "),
        (["--workloads=c"], "have no workload 'c'; All: a, b."),
        (["--resamples=0"], "resamples"),
        (["--seed=-1"], "seed"),
        (["--studies=0"], "studies"),
        (["--tuning_ruleset=both"], "tuning_ruleset"),
        (["--rules=none.json"], "cannot read the rules none.json: No such file"),
        (["--rules=v7"], "no scoring rules 'v7'; "),
        (["--refrence=adam"], "reference"),
    ],
)
def test_mistakes_exit_with_2_and_say_what_there_is(
    logs: Path, capsys, flags: list[str], message: str
):
    assert message in refused(capsys, logs, *flags)


def test_a_reference_gives_speedups_and_a_note_on_budgets(logs: Path, capsys):
    without = run(capsys, logs, "--noreport")
    assert "note: speed-ups need a reference: --reference=NAME" in without
    screen = run(capsys, logs, "--reference=sgd", "--noreport")
    assert "speed-up: over sgd" in screen
    adam = next(line for line in screen.splitlines() if line.split()[1:2] == ["adam"])
    assert f"{(31 / 11 * 21 / 20) ** 0.5:.2f}x" in adam.split()
    assert (
        "note: speed-ups take the budget for the time where a target was not reached: "
        "lion (b)"
    ) in screen


def test_a_submission_called_baseline_is_the_reference(logs: Path, capsys):
    (logs / "sgd").rename(logs / "baseline")
    assert "speed-up: over baseline" in run(capsys, logs, "--noreport")
    screen = run(capsys, logs, "--noreport", "--reference=adam")
    assert "speed-up: over adam" in screen
    alone = run(capsys, logs, "--noreport", "--submissions=adam,lion")
    assert "speed-ups need a reference" in alone


def written(logs: Path) -> dict[str, bytes]:
    folder = logs.parent / "logs_scores"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_files(logs: Path, capsys):
    first = run(capsys, logs, "--seed=3")
    files = written(logs)
    assert run(capsys, logs, "--seed=3") == first
    assert written(logs) == files
    assert run(capsys, logs, "--seed=4") != first
    assert written(logs)["leaderboard.csv"] != files["leaderboard.csv"]
    uncertainty = json.loads(written(logs)["scores.json"])["uncertainty"]
    assert (uncertainty["resamples"], uncertainty["seed"]) == (50, 4)
    run(capsys, logs, "--seed=4", "--resamples=51")
    assert json.loads(written(logs)["scores.json"])["uncertainty"]["resamples"] == 51


def test_the_page_is_written_unless_it_is_declined(logs: Path, capsys):
    screen = run(capsys, logs, "--noreport")
    names = {"scores.json", "leaderboard.csv", "leaderboard.md"}
    assert set(written(logs)) == names
    assert "leaderboard.html" not in screen
    run(capsys, logs)
    assert set(written(logs)) == names | {"leaderboard.html"}


def test_where_files_go_is_printed(logs: Path, capsys, tmp_path: Path):
    folder = tmp_path / "some/where"
    screen = run(capsys, logs, "--noreport", f"--output_dir={folder}")
    lines = [line for line in screen.splitlines() if line.startswith("written: ")]
    assert lines == [
        f"written: {path}"
        for path in map(
            folder.joinpath, ("scores.json", "leaderboard.csv", "leaderboard.md")
        )
    ]
    assert all(Path(line.removeprefix("written: ")).is_file() for line in lines)


def test_the_trapezoid_ranks_everything(logs: Path, capsys):
    run(capsys, logs, "--noreport", "--trapezoid")
    document = json.loads(written(logs)["scores.json"])
    assert document["score_is"] == "trapezoid"
    scores = {row["submission"]: row["score"] for row in document["leaderboard"]}
    for kind in document["sensitivity"]:
        for variation in kind["variations"]:
            if variation["what"] == "tau_max 4":
                assert variation["scores"] == scores
    low = document["uncertainty"]["over_studies"]["adam"]["score"]["low"]
    assert low <= scores["adam"]
    expected = document["tuning"]["expected_scores"]
    assert {name: own[-1] for name, own in expected.items()} == pytest.approx(scores)


def test_an_archive_and_the_folder_print_the_same(logs: Path, capsys):
    expected = run(capsys, logs, "--noreport")
    folder = written(logs)
    shutil.make_archive(str(logs), "xztar", logs)
    shutil.rmtree(logs.parent / "logs_scores")
    archive = logs.with_name("logs.tar.xz")
    assert run(capsys, archive, "--noreport") == expected
    assert written(logs)["leaderboard.csv"] == folder["leaderboard.csv"]
