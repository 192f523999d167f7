"""A folder that cannot be written, is full, in use, or of another configuration."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import command, environment
from fakes import PLAIN_SUBMISSION

import workloads.catalog
from algoperf.cli.main import main
from algoperf.facts import UserError
from algoperf.file_lock import FileLock
from algoperf.trial_folder import TrialFolder
from algoperf.trial_settings import check_devices

SMALL = (
    "--workload=digits",
    "--max_global_steps=4",
    "--eval_every_steps=2",
)
STUDY = Path("experiments/mine/study_0")
TRIAL = STUDY / "digits_jax" / "trial_1"


def call(*flags: str) -> int:
    return main(["run", *SMALL, "--submission_path=mine", *flags])


def write_submission() -> None:
    Path("mine").mkdir()
    Path("mine/submission.py").write_text(PLAIN_SUBMISSION)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the submission in mine/ in this process; returns exit code and errors."""
    monkeypatch.chdir(tmp_path)
    write_submission()
    return lambda *flags: (call(*flags), capsys.readouterr().err)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and what is in it."""
    return {str(f): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("below", ["a_file", "a_file/deeper"])
def test_a_folder_that_cannot_be_made_is_named(run, below):
    Path("a_file").write_text("precious")
    code, message = run(f"--experiment_dir={below}")
    assert code == 2
    assert f"cannot write to {Path(below).absolute()}" in message
    assert "--experiment_dir" in message
    assert Path("a_file").read_text() == "precious"


# Another configuration.


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """What a trial of seed 3 wrote."""
    with contextlib.chdir(tmp_path_factory.mktemp("finished")):
        write_submission()
        assert call("--rng_seed=3") == 0
        return Path("experiments").absolute()


@pytest.fixture
def refused(run, finished):
    """Runs into that folder; returns the message, after making sure all is there."""
    shutil.copytree(finished, "experiments")
    before = contents(Path("experiments"))

    def refused(*flags: str) -> str:
        code, message = run(*flags)
        assert code == 2
        assert "Traceback" not in message
        assert "--overwrite" in message
        assert "--experiment_name" in message
        assert contents(Path("experiments")) == before, "something was lost"
        return message

    return refused


def test_another_seed_is_refused(refused):
    message = refused("--rng_seed=4")
    assert "experiments/mine/study_0/digits_jax was written with" in message
    assert "--rng_seed=3, not 4" in message


def test_another_submission_source_is_refused(refused):
    Path("mine/submission.py").write_text(PLAIN_SUBMISSION + "# changed\n")
    message = refused("--rng_seed=3")
    assert f"{TRIAL} was written with other settings" in message
    assert "submission_source (a hash of the submission's files): " in message


def test_other_limits_are_refused_by_name(refused):
    message = refused("--rng_seed=3", "--max_global_steps=6", "--max_runtime_factor=1")
    assert "limits.max_steps (--max_global_steps): 4 there, 6 now" in message
    assert (
        "limits.max_runtime_s (--max_runtime_factor): 90.0 there, 60.0 now" in message
    )


def test_other_workload_facts_are_refused_by_name(refused, monkeypatch):
    facts = replace(workloads.catalog.DIGITS, validation_target=0.5)
    monkeypatch.setattr(workloads.catalog, "CATALOG", {"digits": facts})
    message = refused("--rng_seed=3")
    assert "workload.validation_target: 0.975 there, 0.5 now" in message


def test_another_ruleset_is_refused(refused):
    Path("mine/tuning_search_space.json").write_text('[{"learning_rate": 0.1}]')
    message = refused("--rng_seed=3")
    assert "tuning_ruleset: self there" in message or "hyperparameters: None" in message


def test_another_search_space_is_refused(run):
    space = Path("mine/tuning_search_space.json")
    space.write_text('[{"learning_rate": 0.1}]')
    assert run() == (0, "")
    before = contents(Path("experiments"))
    space.write_text('[{"learning_rate": 0.2}]')
    code, message = run()
    assert code == 2
    assert "hyperparameters.learning_rate: 0.1 there, 0.2 now" in message
    assert contents(Path("experiments")) == before, "something was lost"


@pytest.mark.parametrize("content", ["{}", "[]", '"text"', "\xff"])
def test_a_trial_record_that_is_none_is_refused(run, finished, content):
    shutil.copytree(finished, "experiments")
    (TRIAL / "trial.json").write_text(content, encoding="latin-1")
    code, message = run("--rng_seed=3")
    assert code == 2
    assert str(TRIAL) in message
    assert "--overwrite" in message


@pytest.mark.parametrize("content", ["[]", '{"experiment_seed": "x"}', "\xff"])
def test_a_study_record_that_is_none_is_refused(run, finished, content):
    shutil.copytree(finished, "experiments")
    (STUDY / "digits_jax.json").write_text(content, encoding="latin-1")
    code, message = run()
    assert code == 2
    assert str(STUDY) in message
    assert "--overwrite" in message


def test_overwrite_replaces_what_another_configuration_wrote(run, finished):
    shutil.copytree(finished, "experiments")
    assert run("--rng_seed=4", "--overwrite") == (0, "")
    assert (
        json.loads(STUDY.joinpath("digits_jax.json").read_text())["experiment_seed"]
        == 4
    )


def begun(tmp_path: Path, checkpoint: bool) -> TrialFolder:
    folder = TrialFolder(tmp_path / "trial_1")
    if checkpoint:
        (folder.path / "checkpoints" / "20").mkdir(parents=True)
    return folder


NOW = {"devices": ["cpu", "cpu"], "packages": {"jax": "2"}}


def test_going_on_with_other_devices_is_refused_once_there_is_a_checkpoint(tmp_path):
    record = {"environments": [{"devices": ["H100"], "packages": {"jax": "2"}}]}
    with contextlib.closing(begun(tmp_path, checkpoint=False)) as folder:
        assert check_devices(folder, record, NOW) == []
        assert check_devices(folder, {}, NOW) == []
    with (
        contextlib.closing(begun(tmp_path, checkpoint=True)) as folder,
        pytest.raises(
            UserError, match=r"begun on 1 x H100, and here is 2 x cpu.*--overwrite"
        ),
    ):
        check_devices(folder, record, NOW)


def test_going_on_with_other_versions_is_said(tmp_path):
    record = {"environments": [{"devices": ["cpu", "cpu"], "packages": {"jax": "1"}}]}
    with contextlib.closing(begun(tmp_path, checkpoint=True)) as folder:
        said = check_devices(folder, record, NOW)
        assert said == ["other versions than before: jax: 1 there, 2 now"]
        assert check_devices(folder, {"environments": [NOW]}, NOW) == []


def test_a_folder_of_another_program_is_refused(run):
    TRIAL.mkdir(parents=True)
    (TRIAL / "eval_measurements.csv").write_text("global_step\n1\n")
    code, message = run()
    assert code == 2
    assert f"{TRIAL} holds something else than a trial" in message
    assert (TRIAL / "eval_measurements.csv").read_text() == "global_step\n1\n"


def test_a_folder_that_another_process_runs_in_is_refused(run):
    TRIAL.mkdir(parents=True)
    with contextlib.closing(FileLock(TRIAL / ".lock")):
        code, message = run()
    assert code == 2
    assert f"{TRIAL.absolute()} is being run by process {os.getpid()} on" in message
    assert "wait for it, stop it, or give another --experiment_name" in message


# A full disk. Files that may not grow stand for it: that needs no rights.


LIMITED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.argv[2], sys.argv[2:])
"""


def run_with_files_up_to(limit: int, folder: Path) -> subprocess.CompletedProcess[str]:
    flags = ("--submission_path=mine", "--rng_seed=3")
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), *command(["run", *SMALL, *flags])],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("limit", "first_that_fails"),
    [(60, "digits_jax.json"), (1_000, "trial.json"), (50_000, "a checkpoint")],
)
def test_a_full_disk_ends_a_run_that_then_continues(tmp_path, limit, first_that_fails):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "submission.py").write_text(PLAIN_SUBMISSION)
    full = run_with_files_up_to(limit, tmp_path)
    assert full.returncode == 2, (first_that_fails, full.stderr)
    # A thread of TensorStore may still report to Orbax's event loop, now closed.
    assert "/algoperf/" not in full.stderr, full.stderr
    assert "cannot write" in full.stderr
    assert "experiments/mine/study_0" in full.stderr
    assert "same command line" in full.stderr
    assert "failed" not in full.stdout, "the submission is not to blame"
    again = run_with_files_up_to(resource.RLIM_INFINITY, tmp_path)
    assert again.returncode == 0, again.stderr
    record = json.loads((tmp_path / TRIAL / "trial.json").read_text())
    assert record["outcome"] == "out of steps"
    rows = (tmp_path / TRIAL / "eval_measurements.csv").read_text().splitlines()
    assert len(rows) == 1 + 3
