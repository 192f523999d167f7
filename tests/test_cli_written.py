"""What `algoperf run` writes and shows: AlgoPerf's layout, lines, and nothing twice."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import command, environment, last_line

EVAL_COLUMNS = [
    "accumulated_eval_time", "accumulated_logging_time", "accumulated_submission_time",
    "global_step", "preemption_count", "score", "test/accuracy", "test/loss",
    "test/num_examples", "total_duration", "train/accuracy", "train/loss",
    "validation/accuracy", "validation/loss", "validation/num_examples",
]  # fmt: skip
MEASUREMENT_COLUMNS = [
    "global_step", "grad_norm", "loss", "train/accuracy", "train/loss",
    "validation/accuracy", "validation/loss", "validation/num_examples",
    "test/accuracy", "test/loss", "test/num_examples", "score", "total_duration",
    "accumulated_submission_time", "accumulated_eval_time", "accumulated_logging_time",
    "preemption_count",
]  # fmt: skip
META_DATA = [
    "cpu_count", "cpu_model_name", "git_branch", "git_commit_hash", "gpu_count",
    "gpu_model_name", "mem.total", "os_platform", "python_compiler", "python_version",
    "rng_seed", "workload.eval_batch_size", "workload.eval_period_time_sec",
    "workload.max_allowed_runtime_sec", "workload.num_eval_train_examples",
    "workload.num_test_examples", "workload.num_train_examples",
    "workload.num_validation_examples", "workload.step_hint",
    "workload.target_metric_name", "workload.test_target_value",
    "workload.validation_target_value",
]  # fmt: skip
# Two workloads, two studies, the second of three trials, all in one process.
WIDE = (
    "run",
    "--workload=digits,mnist_mini",
    "--submission_path=adamw",
    "--num_studies=2",
    "--num_tuning_trials=3",
    "--hparam_start_index=1",
    "--hparam_end_index=2",
    "--experiment_dir=runs",
    "--experiment_name=named",
    "--rng_seed=0",
    "--max_global_steps=12",
    "--eval_every_steps=5",
    "--save_intermediate_checkpoints",
    "--profile",
)


def rows(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and what is in it."""
    return {str(f): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> tuple[Path, str]:
    """The folder of the run above, and what it printed."""
    folder = tmp_path_factory.mktemp("wide")
    done = subprocess.run(
        command(WIDE),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "runs" / "named", done.stdout


@pytest.fixture
def trial(wide) -> Path:
    """The folder of a trial of that run."""
    return wide[0] / "study_1" / "digits_jax" / "trial_2"


def test_trials_are_numbered_by_the_unsliced_index(wide):
    found = {str(f.relative_to(wide[0])) for f in wide[0].glob("*/*_jax/*")}
    assert found == {
        f"study_{study}/{workload}_jax/trial_2"
        for study in (0, 1)
        for workload in ("digits", "mnist_mini")
    }


def test_a_study_lists_its_trials_before_they_run(wide):
    seeds = set()
    for study in (0, 1):
        plan = read(wide[0] / f"study_{study}" / "digits_jax.json")
        assert plan["experiment_seed"] == 0
        assert [trial["trial"] for trial in plan["trials"]] == [1, 2, 3]
        seeds |= {trial["seed"] for trial in plan["trials"]}
        record = read(wide[0] / f"study_{study}/digits_jax/trial_2/trial.json")
        assert record["seed"] == plan["trials"][1]["seed"]
        assert record["hyperparameters"] == plan["trials"][1]["hyperparameters"]
    assert len(seeds) == 6


def test_evaluations_have_the_columns_of_algoperf(trial):
    header, *_ = (trial / "eval_measurements.csv").read_text().splitlines()
    assert header.split(",") == EVAL_COLUMNS
    steps = [row["global_step"] for row in rows(trial / "eval_measurements.csv")]
    assert steps == ["1", "5", "10", "12"]
    for row in rows(trial / "eval_measurements.csv"):
        assert row["score"] == row["accumulated_submission_time"]
        assert row["preemption_count"] == "0"
        assert row["validation/num_examples"] == "300"


def test_measurements_begin_with_what_the_submission_logs_and_end_with_the_score(trial):
    header, *_ = (trial / "measurements.csv").read_text().splitlines()
    assert header.split(",") == MEASUREMENT_COLUMNS
    steps = [row["global_step"] for row in rows(trial / "measurements.csv")]
    assert steps == ["0", "1", "5", "10", "12", "12"]
    final = {k: v for k, v in rows(trial / "measurements.csv")[-1].items() if v}
    assert final.keys() == {"global_step", "score", "preemption_count"}


def test_the_json_files_have_what_algoperf_writes(trial):
    record = read(trial / "trial.json")
    assert read(trial / "hparams.json") == record["hyperparameters"]
    assert set(META_DATA) <= read(trial / "meta_data_0.json").keys()
    assert read(trial / "meta_data_0.json")["rng_seed"] == record["seed"]
    given = read(trial / "flags_0.json")
    for flag in WIDE[1:]:
        name, _, value = flag.removeprefix("--").partition("=")
        assert str(given[name]).lower() == (value or "true")
    assert record["outcome"] == "out of steps"
    assert record["steps"] == 12
    assert record["environments"][0]["packages"]["jax"]
    parts = [
        record["seconds"][name] for name in ("submission", "evaluation", "logging")
    ]
    assert sum(parts) == pytest.approx(record["seconds"]["total"])


def test_all_checkpoints_are_kept_when_asked_for(trial):
    saved = {f.name for f in (trial / "checkpoints").iterdir() if f.is_dir()}
    assert saved == {"1", "5", "10", "12"}


def test_a_profile_is_in_the_trial_folder(trial):
    assert list((trial / "profile").rglob("*.xplane.pb"))


def test_progress_is_plain_lines_where_the_output_is_no_terminal(wide):
    lines = wide[1].splitlines()
    assert "\r" not in wide[1]
    title = "named digits study 1 trial 2 | step "
    progress = [line for line in lines if line.startswith(title)]
    steps = [line.removeprefix(title).split(" ")[0] for line in progress]
    assert steps == ["1/12", "5/12", "10/12", "12/12"]
    for part in ("accuracy 0.", "(>= 0.975)", "of 60 s", "steps/s", "ends within"):
        assert all(part in line for line in progress)
    assert any(
        line.startswith("named digits study 1 trial 2: out of") for line in lines
    )
    assert "named mnist_mini study 0:" in lines
    assert last_line(wide[1]).endswith("/runs/named")


def test_the_same_line_again_skips_what_is_finished(wide):
    folder, _ = wide
    before = contents(folder)
    again = subprocess.run(
        command(WIDE),
        cwd=folder.parents[1],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("already done: out of steps") == 4
    assert contents(folder) == before
