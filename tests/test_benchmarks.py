"""Every script of benchmarks/ still runs: small sizes, no look at their figures."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# Arguments that make a script short.
SMALL = {
    "clicks": "--batch=64 --vocabulary=1024 --rows=100000 --rounds=1",
    "clock": "",
    "compile_cache": "--workload=digits",
    "graphs": "--batch=4 --rounds=1",
    "image_pipeline": "",
    "loop_overhead": "",
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
