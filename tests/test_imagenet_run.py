"""`algoperf run` on image workloads: generated, random, and prepared images."""

import csv
import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_imagenet as tiny
from conftest import command, environment
from fakes import Quiet

from algoperf.cli.main import main
from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.catalog import CATALOG
from workloads.loading import build

EIGHT = '''
"""Gradient descent on batches of eight."""
import optax
from algoperf.optax_submission import optax_submission

_, init_optimizer_state, update_params = optax_submission(
    lambda hyperparameters, step_hint: optax.sgd(0.001)
)

def get_batch_size(workload_name):
    return 8
'''
SPLITS = ("train", "validation", "test")


@pytest.fixture
def submission(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "eight.py").write_text(EIGHT)
    return tmp_path / "eight.py"


def run_in_process_of_its_own(folder: Path, *flags: str) -> str:
    """What `algoperf run` shows when it ends well."""
    variables = environment()
    variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
    process = subprocess.run(
        command(["run", "--submission_path=eight.py", "--nosave_checkpoints", *flags]),
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def trial(workload: str) -> tuple[Any, list[dict[str, str]]]:
    """The record of the only trial, and the rows of its evaluations."""
    folder = Path("experiments/eight/study_0", f"{workload}_jax", "trial_1")
    with open(folder / "eval_measurements.csv", newline="") as stream:
        return json.loads((folder / "trial.json").read_text()), list(
            csv.DictReader(stream)
        )


def assert_measured(rows: Sequence[dict[str, str]], examples) -> None:
    """Every split of its size, with numbers that can be."""
    for row in rows:
        for split in SPLITS:
            assert np.isfinite(float(row[f"{split}/loss"]))
            assert 0 <= float(row[f"{split}/accuracy"]) <= 1
        for split in SPLITS[1:]:
            assert int(row[f"{split}/num_examples"]) == examples[split]


def refused(capsys, *flags: str) -> str:
    """What a command line that is refused says."""
    assert main(["run", "--submission_path=eight.py", *flags]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    return errors


def test_generated_images_are_trained_on_without_any_data(submission):
    run_in_process_of_its_own(
        submission.parent,
        "--workload=imagenet_resnet_mini",
        "--max_global_steps=3",
        "--eval_batch_size=250",
    )
    record, rows = trial("imagenet_resnet_mini")
    assert (record["outcome"], record["steps"]) == ("out of steps", 3)
    assert "data" not in record["settings"]
    assert [row["global_step"] for row in rows] == ["1", "3"]
    assert_measured(rows, CATALOG["imagenet_resnet_mini"].examples)


@pytest.mark.slow
def test_random_batches_stand_in_for_data(submission):
    output = run_in_process_of_its_own(
        submission.parent,
        "--workload=cifar",
        "--data=random",
        "--max_global_steps=2",
        "--eval_batch_size=8",
    )
    assert "2/2" in output
    record, rows = trial("cifar")
    assert (record["outcome"], record["batch_size"]) == ("out of steps", 8)
    assert record["settings"]["data"] == "random"
    assert [row["global_step"] for row in rows] == ["1", "2"]
    assert_measured(rows, CATALOG["cifar"].examples)
    for row in rows:
        eighths = 8 * float(row["validation/accuracy"])
        assert eighths == round(eighths), "an evaluation is one batch of eight"


def test_random_batches_are_refused_where_data_comes_along(submission, capsys):
    text = refused(capsys, "--workload=digits", "--data=random")
    assert text == (
        "algoperf: --data=random is for full workloads, whose data may not be there; "
        "digits brings its own. Leave the flag out.\n"
    )


def test_random_batches_are_refused_before_anything_is_written(submission, capsys):
    refused(capsys, "--workload=digits", "--data=random")
    assert [path.name for path in submission.parent.iterdir()] == ["eight.py"]


@pytest.mark.parametrize("name", ["imagenet_resnet", "imagenet_vit_glu"])
def test_missing_images_are_named_with_the_command_that_prepares_them(
    submission, capsys, name
):
    how = (
        "To get it: `algoperf prepare --workload=imagenet_resnet --raw_dir=RAW "
        "--data_dir=DIR`, with the official tar files or what AlgoPerf prepared in RAW."
    )
    text = refused(capsys, f"--workload={name}")
    assert f"{name} needs --data_dir: a folder with imagenet/ in it" in text
    assert how in text
    Path("data").mkdir()
    text = refused(capsys, f"--workload={name}", "--data_dir=data")
    assert f"data/imagenet does not have the data of {name}" in text
    assert "missing: imagenet2012/5.1.0/dataset_info.json" in text
    assert how in text


# --- in Python, with the facts of a tiny ImageNet -----------------------------------


class Watch(Quiet):
    """Keeps what the last evaluation measured."""

    values: dict[str, float]

    def evaluated(self, progress):
        self.values = progress.eval_results[-1][1]


def trained(
    submission: Path, name: str, folder: Path | None, steps: int, **options
) -> tuple[dict[str, Any], dict[str, float]]:
    """A trial of a full model on tiny data, or on random batches without a folder."""
    facts = replace(CATALOG[name], examples=tiny.EXAMPLES, eval_batch_size=8)
    data = DataOptions(threads=2, random=folder is None, **options)
    workload = build(facts, folder, data)
    plan = TrialPlan(0, 1, 3, None, submission.parent / "trial_1")
    limits = Limits(max_runtime_s=1e9, max_steps=steps)
    run_options = RunOptions(
        "self", limits, save_checkpoints=False, random_data=data.random
    )
    watch = Watch()
    record = TrialRun(plan, workload, submission, run_options, watch).run(StopRequest())
    return record, watch.values


@pytest.mark.slow
@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize(
    ("name", "num_params"),
    [("imagenet_resnet", 25_557_032), ("imagenet_vit", 22_122_472)],
)
def test_a_full_model_trains_for_ten_steps(submission, name, num_params, real):
    folder = tiny.write(submission.parent / "images") if real else None
    record, values = trained(submission, name, folder, steps=10)
    assert record["error"] is None
    assert (record["outcome"], record["steps"]) == ("out of steps", 10)
    assert record["num_params"] == num_params
    for split in SPLITS:
        # Of 1,000 classes: a net that has learned little is near log(1000) = 6.9.
        assert 4 < values[f"{split}/loss"] < 10
    if real:
        seven = 7 * values["validation/accuracy"]
        assert seven == pytest.approx(round(seven), abs=1e-5)


@pytest.mark.slow
def test_under_strict_a_damaged_image_ends_the_trial_and_is_named(submission):
    bad = tiny.train_names()[6]
    folder = tiny.write(submission.parent / "images", [bad])
    with pytest.raises(UserError, match=rf"^{bad} is not a complete JPEG"):
        trained(submission, "imagenet_resnet", folder, steps=10, strict=True)
