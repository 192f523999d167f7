"""fastMRI as it is run: steps on tiny files in the official format, and refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_knee as tiny
from fakes import Quiet

from algoperf.cli.main import main
from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.prepare.run import prepare
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import RunOptions, TrialRun
from workloads.catalog import CATALOG
from workloads.fastmri import files
from workloads.fastmri.prepare import Sizes, preparation
from workloads.fastmri.workload import build
from workloads.loading import load

FOUR = '''
"""Gradient descent on batches of four."""
import optax
from algoperf.optax_submission import optax_submission

_, init_optimizer_state, update_params = optax_submission(
    lambda hyperparameters, step_hint: optax.sgd(0.001)
)

def get_batch_size(workload_name):
    return 4
'''
# The true sizes of images and of rows are those of the reader; few slices.
ROWS, SIZE = 332, 320
VOLUMES = {
    "train": {"a": (322, 3), "b": (330, 2)},
    "val": {"c": (320, 2), "d": (326, 1)},
}
EXAMPLES = {"train": 5, "eval_train": 3, "validation": 2, "test": 1}


class Watch(Quiet):
    """Keeps what the last evaluation measured."""

    values: dict[str, float]

    def evaluated(self, progress):
        self.values = progress.eval_results[-1][1]


@pytest.fixture
def submission(tmp_path) -> Path:
    (tmp_path / "four.py").write_text(FOUR)
    return tmp_path / "four.py"


@pytest.fixture
def knee(tmp_path, monkeypatch) -> Path:
    """Official files with images of the true size; one volume is for validation."""
    monkeypatch.setattr(files, "VALIDATION_VOLUMES", 1)
    random = np.random.default_rng(0)
    for split, volumes in VOLUMES.items():
        place = tmp_path / f"raw/singlecoil_{split}"
        place.mkdir(parents=True)
        for name, (columns, slices) in volumes.items():
            kspace = random.normal(size=(slices, ROWS, columns)).astype(np.complex64)
            images = random.uniform(size=(slices, SIZE, SIZE)).astype(np.float32)
            path = place / f"{name}.h5"
            tiny.write_volume(
                path, tiny.WITHOUT_MAX, kspace=kspace, reconstruction_esc=images
            )
    return tmp_path / "raw"


def trained(folder: Path | None, submission: Path, **options):
    """Ten steps of a variant with a small model, and what was measured then."""
    model = dict(CATALOG["fastmri_layernorm"].model)
    model |= {"num_channels": 2, "num_pool_layers": 2}
    facts = replace(
        CATALOG["fastmri_layernorm"], examples=EXAMPLES, model=model, eval_batch_size=2
    )
    data = DataOptions(threads=2, **options)
    plan = TrialPlan(0, 1, 3, None, submission.parent / "trial_1")
    run_options = RunOptions(
        "self",
        Limits(max_runtime_s=1e9, max_steps=10),
        save_checkpoints=False,
        random_data=data.random,
    )
    watch = Watch()
    workload = build(facts, folder, data)
    record = TrialRun(plan, workload, submission, run_options, watch).run(StopRequest())
    assert record["error"] is None
    assert (record["outcome"], record["steps"]) == ("out of steps", 10)
    return watch.values


def assert_sane(values: dict[str, float]) -> None:
    for split in ("train", "validation", "test"):
        assert 0.3 < values[f"{split}/loss"] < 10
        assert -1 <= values[f"{split}/ssim"] <= 1


@pytest.mark.slow
def test_ten_steps_on_official_and_on_prepared_files_are_the_same(knee, submission):
    official = trained(knee, submission)
    assert_sane(official)
    counts = [official[f"{split}/num_examples"] for split in ("validation", "test")]
    assert counts == [2, 1]
    sizes = Sizes((2, 2), (5, 3))
    prepare(preparation(sizes), knee, submission.parent, lambda line: None)
    again = submission.parent / "again"
    again.mkdir()
    prepared = trained(
        submission.parent / "fastmri", submission.rename(again / submission.name)
    )
    for metric, value in official.items():
        if metric.split("/")[0] in ("train", "validation", "test"):
            assert prepared[metric] == value, metric


@pytest.mark.slow
def test_ten_steps_on_random_batches(submission):
    assert_sane(trained(None, submission, random=True))


def test_missing_files_are_named_with_how_to_get_them(tmp_path, submission, capsys):
    flags = [f"--submission_path={submission}", "--workload=fastmri_tanh"]
    assert main(["run", *flags]) == 2
    assert "fastmri_tanh needs --data_dir: a folder with fastmri/" in (
        capsys.readouterr().err
    )
    (tmp_path / "fastmri/singlecoil_train").mkdir(parents=True)
    (tmp_path / "fastmri/singlecoil_train/file1.h5").write_bytes(b"...")
    assert main(["run", *flags, f"--data_dir={tmp_path}"]) == 2
    text = capsys.readouterr().err
    assert f"{tmp_path}/fastmri is incomplete of fastmri_tanh" in text
    assert "missing: singlecoil_val/*.h5 or knee_singlecoil_val/*.h5" in text
    assert "ask for knee_singlecoil_train and knee_singlecoil_val at" in text


def test_what_is_not_all_there_is_not_trained_on(tmp_path):
    tiny.write(tmp_path / "fastmri")
    workload = load("fastmri", tmp_path)
    with pytest.raises(UserError, match="has images of 8x8 pixels from 20x16 of"):
        next(workload.batches("train", 2))
