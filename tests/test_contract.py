"""Submissions in every style that public ones are written in run unmodified."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import environment
from contract_styles import STYLES

RUNNER = Path(__file__).parent / "contract_runner.py"
# What one device does, `make test-slow` looks at.
DEVICES = (pytest.param(1, marks=pytest.mark.slow), 4)
RESUMED = [name for name, style in STYLES.items() if style.resumed]
# These hold the same state as `prefix_shardings` at every step, so measure the same.
SAME_TRAINING = (
    *("own_mesh", "static_by_name", "eager", "logs", "helpers", "train_state"),
    *("external", "routes_by_type", "probes", "odd_state", "changing_state"),
    "one_device_in_prepare",
)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """How the trial of a style went, by number of devices; all run in one process."""

    @functools.cache
    def run(devices: int) -> dict[str, dict[str, Any]]:
        variables = environment(devices)
        variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
        process = subprocess.run(
            [sys.executable, str(RUNNER), str(tmp_path_factory.mktemp("contract"))],
            env=variables,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert process.returncode == 0, process.stderr
        lines = map(json.loads, process.stdout.splitlines())
        return {line["style"]: line for line in lines}

    return lambda name, devices: run(devices)[name]


def assert_equal_metrics(found, expected, rtol=0.0):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=rtol, err_msg=name)


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("name", STYLES)
def test_a_style_runs(ended, name, devices):
    style, trial = STYLES[name], ended(name, devices)
    assert trial["error"] is None
    assert trial["outcome"] == style.outcome
    finished = style.outcome == "out of steps"
    assert trial["steps"] == (5 if finished else 2)
    assert trial["evaluated_at"] == ([1, 2, 4, 5] if finished else [1, 2])
    assert all(np.isfinite(value) for value in trial["metrics"].values())
    assert trial["metrics"]["train/loss"] < trial["first_loss"]
    if style.compiles_anew:
        assert trial["compiled_late"]
    else:
        assert trial["compiled_late"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", STYLES)
def test_four_devices_measure_what_one_does(ended, name):
    four, one = (ended(name, devices)["metrics"] for devices in (4, 1))
    assert_equal_metrics(four, one, rtol=1e-4)


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("name", SAME_TRAINING)
def test_how_a_submission_is_written_changes_no_number(ended, name, devices):
    plain = ended("prefix_shardings", devices)["metrics"]
    assert_equal_metrics(ended(name, devices)["metrics"], plain, rtol=1e-5)


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("name", RESUMED)
def test_an_interrupted_trial_ends_as_an_uninterrupted_one(ended, name, devices):
    trial = ended(name, devices)
    assert trial["resumed_error"] is None
    assert trial["resumed_messages"] == ["resumed from step 3"]
    assert_equal_metrics(trial["resumed_metrics"], trial["metrics"])
