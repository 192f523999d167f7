"""A plan becomes tasks: of the right number, with the right lines, or is refused."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from algoperf.cli.sweep_command import main
from algoperf.facts import UserError
from algoperf.sweep.record import expected_tasks, missing
from algoperf.sweep.scan import TrialState
from algoperf.sweep.tasks import Submission, Sweep, Task


@pytest.fixture
def listed(tmp_path, monkeypatch, capsys):
    """The lines that --executor=list prints for a plan; experiment_dir is `exp`."""
    monkeypatch.chdir(tmp_path)

    def run(plan: str = "", *given: str) -> list[list[str]]:
        Path("plan.toml").write_text(plan)
        words = [*(["plan.toml"] if plan else []), "--executor=list", *given]
        if "--experiment_dir" not in " ".join(words) + plan:
            words.append("--experiment_dir=exp")
        capsys.readouterr()
        assert main(words) == 0
        return [shlex.split(line) for line in capsys.readouterr().out.splitlines()]

    return run


def flag(line: list[str], name: str) -> str | None:
    found = [word.split("=", 1)[1] for word in line if word.startswith(f"--{name}=")]
    return found[-1] if found else None


def test_a_task_for_each_trial_and_one_for_a_self_tuning_study(listed):
    lines = listed(
        """
        submissions = ["adamw", "nadamw"]
        workloads = ["digits", "mnist_mini"]
        studies = 2
        trials = 3
        seed = 7
        """
    )
    tasks = [
        (
            flag(line, "experiment_name"),
            flag(line, "workload"),
            flag(line, "study_index"),
        )
        for line in lines
    ]
    assert len(tasks) == (3 + 1) * 2 * 2
    assert tasks.count(("adamw", "mnist_mini", "1")) == 3
    assert tasks.count(("nadamw", "mnist_mini", "1")) == 1
    assert {flag(line, "rng_seed") for line in lines} == {"7"}
    one = [line for line in lines if flag(line, "experiment_name") == "adamw"][:3]
    indices = [
        (flag(line, "hparam_start_index"), flag(line, "hparam_end_index"))
        for line in one
    ]
    assert indices == [("0", "1"), ("1", "2"), ("2", "3")]
    assert {flag(line, "num_tuning_trials") for line in one} == {"3"}
    assert one[0][:4] == [sys.executable, "-m", "algoperf", "run"]
    assert {flag(line, "isolate") for line in lines} == {"process"}


@pytest.mark.parametrize(
    ("given", "isolated"),
    [
        ("--isolate=off", ["--isolate=off"]),
        ("--isolate=strict", ["--isolate=strict"]),
        ("--distributed", []),
        ("--coordinator_address=a:1 --num_processes=2 --process_id=0", []),
    ],
)
def test_isolation_is_the_default_where_a_trial_has_one_process(
    listed, given, isolated
):
    (line,) = listed(
        "", "--submissions=nadamw", "--workloads=digits", f"--run_flags={given}"
    )
    assert [word for word in line if word.startswith("--isolate")] == isolated


def test_flags_for_all_for_a_workload_and_for_a_submission(listed):
    lines = listed(
        """
        submissions = ["nadamw", {path = "nadamw", name = "other name"}]
        workloads = ["digits", "mnist_mini"]
        [run]
        max_global_steps = 9
        save_checkpoints = false
        [run.mnist_mini]
        max_global_steps = 5
        [run."other name"]
        eval_batch_size = 100
        """
    )
    first, second, third, fourth = lines
    assert [flag(line, "max_global_steps") for line in lines] == ["9", "9", "5", "5"]
    assert flag(second, "experiment_name") == flag(fourth, "experiment_name")
    assert flag(second, "experiment_name") == "other name"
    assert [flag(line, "eval_batch_size") for line in lines] == [None, "100"] * 2
    assert all("--nosave_checkpoints" in line for line in (first, third))


def test_flags_alone_make_a_plan_and_win_over_a_file(listed):
    alone = listed("", "--submissions=adamw,nadamw", "--workloads=digits", "--trials=2")
    assert len(alone) == 3
    changed = listed(
        'submissions = ["adamw"]\nworkloads = ["digits"]\ntrials = 4',
        "--trials=2",
        "--run_flags=--max_global_steps=3 --skip_evals",
        "--stop_when_beaten",
        "--experiment_dir=other",
    )
    assert len(changed) == 2
    assert flag(changed[0], "max_global_steps") == "3"
    assert {"--skip_evals", "--stop_when_beaten"} <= set(changed[0])


def test_a_drawn_seed_is_written_before_anything_runs_and_kept(listed):
    first = listed("", "--submissions=nadamw", "--workloads=digits")
    seed = flag(first[0], "rng_seed")
    assert json.loads(Path("exp/.sweep/plan.json").read_text())["seed"] == int(seed)
    more = listed("", "--submissions=nadamw,adamw", "--workloads=digits,mnist_mini")
    assert {flag(line, "rng_seed") for line in more} == {seed}
    other = listed(
        "", "--submissions=nadamw", "--workloads=digits", "--experiment_dir=b"
    )
    assert flag(other[0], "rng_seed") != seed


def test_a_study_that_was_begun_keeps_its_seed(listed):
    folder = Path("exp/nadamw/study_0")
    folder.mkdir(parents=True)
    plan = {"experiment_seed": 11, "trials": []}
    (folder / "digits_jax.json").write_text(json.dumps(plan))
    with pytest.raises(UserError, match=r"study 0 of nadamw on digits in .* seed 11"):
        listed("", "--submissions=nadamw", "--workloads=digits", "--seed=12")
    assert not Path("exp/.sweep").exists()
    lines = listed(
        "", "--submissions=nadamw", "--workloads=digits,mnist_mini", "--studies=2"
    )
    seeds = {
        (flag(line, "workload"), flag(line, "study_index")): flag(line, "rng_seed")
        for line in lines
    }
    assert seeds.pop(("digits", "0")) == "11"
    assert len(set(seeds.values())) == 1


def test_a_printed_line_runs_as_pasted(listed, tmp_path):
    line = listed(
        "",
        "--submissions=nadamw",
        "--workloads=digits",
        "--experiment_dir=with space",
        "--run_flags=--max_global_steps=2",
    )[0]
    subprocess.run(shlex.join(line), shell=True, check=True, capture_output=True)
    record = tmp_path / "with space/nadamw/study_0/digits_jax/trial_1/trial.json"
    assert json.loads(record.read_text())["outcome"] == "out of steps"
    assert (
        listed(
            "",
            "--submissions=nadamw",
            "--workloads=digits",
            "--experiment_dir=with space",
            "--run_flags=--max_global_steps=2",
        )
        == []
    )


def trial(outcome: str | None, number: int) -> None:
    folder = Path(f"exp/adamw/study_0/digits_jax/trial_{number}")
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps({"outcome": outcome}))
    folder.with_suffix(".log").write_text("why")


def test_only_what_is_missing_runs_and_failed_trials_on_demand(listed):
    given = ("", "--submissions=adamw", "--workloads=digits", "--trials=5")
    listed(*given)
    for number, outcome in enumerate(["reached", "failed", "diverged", None], 1):
        trial(outcome, number)
    left = [flag(line, "hparam_end_index") for line in listed(*given)]
    assert left == ["4", "5"]
    left = [flag(line, "hparam_end_index") for line in listed(*given, "--retry_failed")]
    assert left == ["2", "4", "5"]
    # Failed trials are moved, not deleted.
    kept = Path("exp/.sweep/failed/adamw/study_0/digits_jax/trial_2_0")
    assert json.loads((kept / "trial.json").read_text()) == {"outcome": "failed"}
    assert kept.with_suffix(".log").read_text() == "why"
    assert not Path("exp/adamw/study_0/digits_jax/trial_2").exists()


def test_parts_share_nothing_and_miss_nothing(listed):
    given = ("", "--submissions=adamw,nadamw", "--workloads=digits", "--trials=2")
    given += ("--studies=3", "--seed=0")
    whole = listed(*given)
    parts = [listed(*given, f"--part={part}/2") for part in (1, 2)]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    studies = [
        {(flag(x, "experiment_name"), flag(x, "study_index")) for x in part}
        for part in parts
    ]
    assert not studies[0] & studies[1]


def test_status_knows_the_tasks_of_all_sweeps_of_a_folder(listed):
    listed("", "--submissions=adamw", "--workloads=digits", "--trials=2")
    listed("", "--submissions=adamw", "--workloads=digits", "--trials=3")
    listed("", "--submissions=nadamw", "--workloads=mnist_mini")
    assert set(expected_tasks(Path("exp"))) == {
        *(Task("adamw", "digits", 0, number) for number in (1, 2, 3)),
        Task("nadamw", "mnist_mini", 0, 1),
    }


def test_a_hundred_thousand_tasks():
    names = [f"s{number}" for number in range(50)]
    sweep = Sweep(
        experiment_dir=Path("exp"),
        submissions=tuple(Submission(name, name, "external", 20) for name in names),
        workloads=tuple(f"w{number}" for number in range(20)),
        studies=tuple(range(5)),
        seed=0,
    )
    tasks = list(sweep.tasks())
    assert len(tasks) == len(set(tasks)) == 100_000
    done = {task: TrialState("reached") for task in tasks[::2]}
    assert missing(tasks, done, False) == tasks[1::2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--submissions=adamv"], "no submission 'adamv'.*adamw"),
        (["--submissions=adamw", "--workloads=digit"], "digit.*did you mean digits"),
        (["--submissions=adamw,adamw"], "two submissions .* called 'adamw'"),
        (["--run_flags=--max_step=3"], "(?s)max_step.*--help lists the flags"),
        (["--run_flags=steps"], "--run_flags has 'steps'"),
        (["--part=4/3", "--seed=0"], "--part=4/3 must be I/N"),
        (["--part=1/3"], "--part=1/3 needs a seed"),
        (["--workloads=mnist"], "mnist.*prepare"),
        (["--studies=2", "--reference_runtimes=r.json"], "an odd number of studies"),
        (["--reference_runtimes=gone.json"], "cannot read --reference_runtimes"),
    ],
)
def test_what_a_task_would_refuse_is_refused_at_once(listed, given, message):
    Path("r.json").write_text('{"digits": 2.0}')
    rest = [
        word
        for word in ("--submissions=adamw", "--workloads=digits")
        if word.split("=")[0] not in " ".join(given)
    ]
    with pytest.raises(UserError, match=message):
        listed("", *rest, *given)
    assert not list(Path().glob("exp/[!.]*"))


def test_flags_for_a_name_that_is_not_there_are_refused(listed):
    plan = (
        'submissions = ["adamw"]\nworkloads = ["digits"]\n[run.digit]\nprofile = true'
    )
    with pytest.raises(UserError, match=re.escape("[run.digit]")):
        listed(plan)
