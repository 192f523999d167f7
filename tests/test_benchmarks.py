"""Every script of benchmarks/ still runs: small sizes, no look at their figures."""

import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from workloads.catalog import CATALOG

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# Arguments that make a script short.
SMALL = {
    "clicks": "--batch=64 --vocabulary=1024 --rows=1000000 --rounds=1",
    "clock": "",
    "compile_cache": "--workload=digits",
    "graphs": "--batch=4 --rounds=1",
    "image_pipeline": "",
    "loop_overhead": "--rounds=3",
    "lr_sensitivity": "--widths=16 --rates=2 --steps=20",
    "mini_steps": "--workloads=mnist_mini,wmt_mini --steps=3 --rounds=1",
    "mri": "--batch=1 --rounds=1 --steps=3",
    "optimizers": "--submissions=momentum --rounds=1",
    "preflight": "--workloads=digits --steps=20",
    "prepare_imagenet": "--images=50",
    "resume": "--rounds=1",
    "scaling": "--workloads=ogbg --step_s=0.005",
    "scoring": "--most=1000",
    "speech": "--batch=1 --seconds=1 --rounds=1",
    "speech_ctc": "--batch=2 --frames=20 --tokens=4 --rounds=1",
    "speech_host": "--rounds=1",
    "sweep": "plan overhead workers --trials=2",
    "text_lm": "--rounds=2 --tokens=128 --sequences=2000",
    "vision_step": "--batch=1 --image=64 --rounds=1",
    "wmt": "--batch=4 --sentences=2 --pairs=2000 --rounds=1",
}
# These want what others make: the demo's folder, hours of training.
WANT_MORE = {"calibrate", "command_line"}


def test_every_script_is_run():
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")}
    assert scripts == SMALL.keys() | WANT_MORE


@pytest.mark.slow
@pytest.mark.parametrize("script", SMALL)
def test_the_script_ends_well(script):
    command = [sys.executable, BENCHMARKS / f"{script}.py", *SMALL[script].split()]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.strip(), f"{script} printed nothing."


def test_sensitivity_is_the_expected_loss_above_the_best(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    lr_sensitivity = import_module("lr_sensitivity")
    # 9 is worse than not to train at all, and NaN has diverged: both count 5.
    losses = [2.0, 1.0, float("nan"), 9.0]
    assert lr_sensitivity.sensitivity(losses, 5.0) == (2 + 1 + 5 + 5) / 4 - 1
    assert lr_sensitivity.sensitivity([3.0], 5.0) == 0.0


def test_a_row_of_the_calibration_says_when_the_target_was_reached(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    calibrate = import_module("calibrate")
    facts = replace(CATALOG["cifar_mini"], validation_target=0.7)
    evaluations = [
        {
            "global_step": 100.0 * i,
            "accumulated_submission_time": 2.04 * i,
            "validation/accuracy": accuracy,
            "test/accuracy": accuracy - 0.01,
        }
        for i, accuracy in enumerate((0.1, 0.7, 0.8, 0.6))
    ]
    row = {"seconds": 6.1, "validation": "0.8", "test": "0.79"}
    reached = {"steps_to_target": 100, "seconds_to_target": 2.0}
    never = {"steps_to_target": "never", "seconds_to_target": "never"}
    assert calibrate.measured(facts, evaluations) == row | reached
    facts = replace(facts, validation_target=0.81)
    assert calibrate.measured(facts, evaluations) == row | never
    failed = {"seconds": "", "validation": "nan", "test": "nan"}
    assert calibrate.measured(facts, []) == failed | never
