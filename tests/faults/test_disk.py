"""A disk that is full or read-only: said by name, nothing lost, and it goes on."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import command
from disks import read_only, small_disk
from faulty import FILLER
from runs import assert_equal_trials, line, record_of, run, trial_of

from algoperf import records

pytestmark = pytest.mark.faults

STEPS = 60
KILL = {"at": ["doing", "a step", 50], "do": "kill"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder, line(STEPS))
    assert done.returncode == 0, done.stderr
    return trial_of(folder)


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 20) as folder:
        yield folder


def fill_at(disk: Path, event: str, text: str, count: int) -> dict:
    return {"at": [event, text, count], "do": ["fill", str(disk)]}


def kept_rows(trial: Path) -> list[str]:
    """Complete rows, also those that are made again; not a row that was cut short."""
    files = (trial / records.EVALS, trial / f"superseded_{records.EVALS}")
    text = "".join(file.read_text() for file in files if file.exists())
    return text[: text.rfind("\n") + 1].splitlines()


@pytest.mark.parametrize(
    ("event", "text", "count", "named"),
    [
        ("open", ".digits_jax.json", 1, "study_0"),  # the plan of the study
        ("open", ".trial.json", 1, "trial_1"),
        ("open", ".meta_data_0.json", 1, "trial_1"),
        ("open", "eval_measurements.csv", 3, "trial_1"),
        ("open", "/measurements.csv", 4, "trial_1"),
        ("doing", "writing records", 3, "trial_1"),  # rows first, whatever they are
        ("os.mkdir", "checkpoints/40", 1, "checkpoints"),
    ],
)
def test_a_full_disk_is_said_and_the_trial_goes_on_when_there_is_room(
    whole, disk, event, text, count, named
):
    full = run(disk, line(STEPS, fault=fill_at(disk, event, text, count)))
    assert (disk / FILLER).exists(), "the fault did not happen"
    assert full.returncode == 2, full.stdout + full.stderr
    assert "/algoperf/" not in full.stderr, full.stderr
    said = [ln for ln in full.stderr.splitlines() if ln.startswith("algoperf: ")]
    assert "cannot write" in said[-1] or "no room" in said[-1]
    assert named in said[-1]
    assert "same command line" in said[-1]
    assert "failed" not in full.stdout, "the submission is not to blame"
    rows = kept_rows(trial_of(disk))
    (disk / FILLER).unlink()
    again = run(disk, line(STEPS))
    assert again.returncode == 0, again.stderr
    assert "damaged" not in again.stdout
    assert set(rows) <= set(kept_rows(trial_of(disk))), "something was lost"
    assert_equal_trials(whole, trial_of(disk))


def test_a_full_disk_for_rows_that_a_resumed_trial_takes_out(whole, disk):
    # Killed between the rows of an evaluation and its checkpoint.
    fault = {"at": ["os.mkdir", "checkpoints/40", 1], "do": "kill"}
    assert run(disk, line(STEPS, fault=fault)).returncode < 0
    before = kept_rows(trial_of(disk))
    fault = fill_at(disk, "open", "superseded_", 1)
    full = run(disk, line(STEPS, fault=fault))
    assert full.returncode == 2, full.stdout + full.stderr
    assert "cannot write" in full.stderr
    assert kept_rows(trial_of(disk)) == before
    (disk / FILLER).unlink()
    assert run(disk, line(STEPS)).returncode == 0
    assert_equal_trials(whole, trial_of(disk))


@pytest.mark.parametrize("what", ["profile", "tensorboard"])
def test_charts_and_traces_do_not_end_a_run_on_a_full_disk(whole, disk, what):
    if what == "tensorboard" and find_spec("tensorboardX") is None:
        pytest.skip("tensorboardX is not installed")
    flag = "--profile" if what == "profile" else "--trackers=tensorboard"
    fault = fill_at(disk, "doing", "a step", 13)
    full = run(disk, line(STEPS, flag, fault=fault))
    assert (disk / FILLER).exists()
    assert full.returncode == 2, full.stdout + full.stderr  # its records have no room
    assert "cannot write" in full.stderr or "no room" in full.stderr
    said = "no trace in" if what == "profile" else "tracker tensorboard failed"
    assert said in full.stdout
    assert "1: failed" not in full.stdout, "the submission is not to blame"
    (disk / FILLER).unlink()
    again = run(disk, line(STEPS, flag))
    assert again.returncode == 0, again.stderr
    assert_equal_trials(whole, trial_of(disk))


def test_a_folder_that_became_read_only(whole, disk):
    assert run(disk, line(STEPS, fault=KILL)).returncode < 0
    read_only(disk, True)
    refused = run(disk, line(STEPS))
    assert refused.returncode == 2
    assert "cannot write to" in refused.stderr
    assert "Read-only file system" in refused.stderr
    assert "Traceback" not in refused.stderr
    looked = run(disk, command(["status", "experiments"]))
    assert looked.returncode == 0, looked.stderr
    assert "0 of 1 trials done, 0 running, 1 waiting" in looked.stdout
    read_only(disk, False)
    assert run(disk, line(STEPS)).returncode == 0
    assert_equal_trials(whole, trial_of(disk))
    assert record_of(trial_of(disk))["preemption_count"] == 1
