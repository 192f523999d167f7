"""Every bundled submission trains, compiles once, and is what the list says."""

import json
from pathlib import Path

import pytest

from algoperf.cli.bundled import (
    bundled_state_bytes,
    bundled_submissions,
    search_space_beside,
)
from algoperf.cli.list_command import main as list_command
from algoperf.cli.main import main
from algoperf.submission import load_submission
from algoperf.submission_check import trace_step, try_steps
from algoperf.tuning import read_search_space, study_points
from workloads.loading import load, without_data

SHELF = bundled_submissions()
MOST_LINES = 60


def points(folder: Path, count: int = 1) -> list:
    space = search_space_beside(folder)
    return [None] if space is None else study_points(read_search_space(space), count)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SHELF) - {"template"}))
def test_it_trains_digits_to_its_target(tmp_path: Path, name: str):
    # The first points of its search space, as a user would run it.
    trials = (
        [] if search_space_beside(SHELF[name]) is None else ["--num_tuning_trials=3"]
    )
    line = ["run", "--workload=digits", f"--submission_path={name}", "--rng_seed=0"]
    line += [f"--experiment_dir={tmp_path}", *trials, "--hparam_end_index=1"]
    outcomes = []
    for first in range(3 if trials else 1):
        window = [f"--hparam_start_index={first}", f"--hparam_end_index={first + 1}"]
        assert main([*line[:-1], *window]) == 0
        folder = tmp_path / f"{name}/study_0/digits_jax/trial_{first + 1}"
        record = json.loads((folder / "trial.json").read_text())
        outcomes.append(record["outcome"])
        if record["outcome"] == "reached":
            break
    assert outcomes[-1] == "reached", outcomes


@pytest.mark.parametrize("name", sorted(SHELF))
def test_it_takes_steps_on_mnist_mini_and_compiles_once(name: str):
    (point,) = points(SHELF[name])
    seen = try_steps(load("mnist_mini"), load_submission(SHELF[name]), point, steps=5)
    assert seen.recompiled == ()
    assert seen.shared == ()
    assert not seen.nonfinite
    assert seen.metrics["validation/num_examples"] == 1_000


@pytest.mark.parametrize("name", sorted(SHELF))
def test_its_state_takes_what_the_list_says(name: str):
    (point,) = points(SHELF[name])
    size = trace_step(without_data("mnist"), load_submission(SHELF[name]), point)
    assert round(size, 2) == bundled_state_bytes()[name]


def test_the_list_shows_the_shelf(capsys):
    assert list_command(["--submissions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[1:-1]} == set(SHELF)
    assert set(bundled_state_bytes()) == set(SHELF)
    adamw = next(line for line in lines if line.startswith("adamw "))
    assert adamw.split()[1:3] == ["external", "8.00"]
    assert "Loshchilov & Hutter, 2019" in adamw


@pytest.mark.parametrize("name", sorted(set(SHELF) - {"template"}))
def test_a_submission_is_short(name: str):
    assert len((SHELF[name] / "submission.py").read_text().splitlines()) <= MOST_LINES
