"""What sweeps cost: planning, watching, an executor's work for a trial, two workers.

  python benchmarks/sweep.py plan      100,000 tasks, listed
  python benchmarks/sweep.py status    50,000 trial folders, against json.load of each
  python benchmarks/sweep.py overhead  64 empty processes, against a plain loop
  python benchmarks/sweep.py workers   trials on digits (--trials=64) with one worker on
                                       all CPUs, and with two on half of them each

Without a word: the first three. Each prints the ratio of its two sides.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from algoperf import records
from algoperf.stop_request import StopRequest
from algoperf.sweep.local import Local
from algoperf.sweep.pinning import places
from algoperf.sweep.scan import TrialState
from algoperf.sweep.tasks import Sweep, Task

SUBMISSIONS = "adamw,baseline,ema,lamb,lion,lawa,momentum,muon,nesterov,soap"
WORKLOADS = "digits,mnist_mini,cifar_mini,imagenet_vit_mini,imagenet_resnet_mini"
STUDIES, TRIALS = 100, 20
FOLDERS = 50_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["plan", "status", "overhead"])
    parser.add_argument("--trials", type=int, default=64)
    given = parser.parse_args()
    parts: dict[str, Callable[[Path], None]] = {
        "plan": plan,
        "status": status,
        "overhead": lambda folder: overhead(folder, given.trials),
        "workers": lambda folder: workers(folder, given.trials),
    }
    for name in given.parts:
        with tempfile.TemporaryDirectory() as folder:
            parts[name](Path(folder))


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def algoperf(folder: Path, *words: str) -> Callable[[], object]:
    line = [sys.executable, "-m", "algoperf", *words]
    repository = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path}
    return lambda: subprocess.run(
        line, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True
    )


def plan(folder: Path) -> None:
    words = (f"--submissions={SUBMISSIONS}", f"--workloads={WORKLOADS}")
    words += (f"--studies={STUDIES}", f"--trials={TRIALS}", "--executor=list")
    whole_s = seconds(algoperf(folder, "sweep", *words))
    one = algoperf(folder, "sweep", *words[:2], "--executor=list")
    few_s = seconds(one)
    count = len(SUBMISSIONS.split(",")) * len(WORKLOADS.split(",")) * STUDIES * TRIALS
    print(
        f"plan: {count:,} tasks listed in {whole_s:.2f} s, 50 in {few_s:.2f} s, "
        f"ratio {whole_s / few_s:.1f}"
    )


def status(folder: Path) -> None:
    """Folders with the record and rows of a trial, of which a tenth is not over."""
    record = _record()
    for number in range(FOLDERS):
        trial = records.trial_folder(
            folder / f"s{number % 10}", number // 10 % 100, "digits", number // 1000 + 1
        )
        trial.mkdir(parents=True)
        outcome = None if number % 10 == 0 else "reached"
        text = records.json_text(record | {"outcome": outcome})
        (trial / records.TRIAL).write_text(text)
        rows = "global_step,total_duration,validation/accuracy\n" + "1,2.0,0.5\n" * 30
        (trial / records.EVALS).write_text(rows)

    def load_all() -> None:
        for file in folder.rglob(records.TRIAL):
            json.loads(file.read_text())

    load_s = min(seconds(load_all) for _ in range(3))
    status_s = min(seconds(algoperf(folder, "status", ".")) for _ in range(3))
    print(
        f"status: {FOLDERS:,} folders in {status_s:.2f} s, json.load of each "
        f"{load_s:.2f} s, ratio {status_s / load_s:.2f}"
    )


def _record() -> dict:
    """As long as that of a real trial."""
    settings = {"workload": {"metric": "accuracy", "name": "digits"}}
    point = {f"hyperparameter_{number}": number / 7 for number in range(8)}
    environment = {f"package_{number}": "0.12.8" for number in range(60)}
    return {
        "best": 0.98,
        "environments": [environment],
        "error": None,
        "hyperparameters": point,
        "reached": {"step": 150, "submission_s": 2.0, "value": 0.98},
        "seconds": {"submission": 2.0, "total": 3.1},
        "settings": {**settings, "hyperparameters": point},
        "steps": 150,
    }


class Nothing(Sweep):
    """A sweep whose tasks are processes that do nothing."""

    def command(self, task: Task) -> list[str]:
        del task
        return [sys.executable, "-c", "pass"]


class NoView:
    def started(self, task: Task) -> None: ...
    def ended(self, task: Task, state: TrialState, problem: str) -> None: ...
    def tick(self) -> None: ...


def overhead(folder: Path, trials: int) -> None:
    sweep = Nothing(
        experiment_dir=folder, submissions=(), workloads=("w",), studies=(0,), seed=0
    )
    tasks = [Task("s", "w", 0, number + 1) for number in range(trials)]
    local = Local(
        sweep, places(1, 1, {"JAX_PLATFORMS": "cpu"}), NoView(), os.environ, 0
    )

    def plain() -> None:
        for task in tasks:
            subprocess.run(sweep.command(task), check=True)

    plain_s = seconds(plain)
    ours_s = seconds(lambda: local.run(tasks, StopRequest()))
    print(
        f"overhead: {trials} processes one after the other {ours_s:.2f} s, plain loop "
        f"{plain_s:.2f} s, {(ours_s - plain_s) / trials:.3f} s a trial, ratio "
        f"{ours_s / plain_s:.2f}"
    )


def workers(folder: Path, trials: int) -> None:
    times = {}
    for count in (1, 2):
        own = algoperf(
            folder,
            "sweep",
            "--submissions=adamw",
            "--workloads=digits",
            f"--trials={trials}",
            "--seed=0",
            f"--workers={count}",
            f"--experiment_dir=workers_{count}",
        )
        times[count] = seconds(own)
    print(
        f"workers: {trials} trials on digits, one worker {times[1]:.1f} s, two "
        f"{times[2]:.1f} s, speed-up {times[1] / times[2]:.2f}"
    )


if __name__ == "__main__":
    main()
