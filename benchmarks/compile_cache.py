"""A trial's start with an empty and with a full compilation cache, and without one.

Each is `algoperf run` in a process of its own, cut off after a few steps.

  python benchmarks/compile_cache.py --workload=cifar_mini
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS = 3


def run(folder: Path, workload: str, name: str, *flags: str) -> tuple[float, Any]:
    """Seconds of the whole process, and the seconds in its `trial.json`."""
    command = [
        *(sys.executable, "-m", "algoperf", "run", f"--workload={workload}"),
        *("--submission_path=nadamw", "--rng_seed=0", f"--max_global_steps={STEPS}"),
        *("--probe=off", f"--experiment_dir={folder}", f"--experiment_name={name}"),
    ]
    start = time.perf_counter()
    subprocess.run([*command, *flags], check=True, stdout=subprocess.DEVNULL)
    process_s = time.perf_counter() - start
    trial = folder / name / "study_0" / f"{workload}_jax" / "trial_1" / "trial.json"
    return process_s, json.loads(trial.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workload", default="mnist_mini")
    workload = parser.parse_args().workload
    cache = "--compilation_cache_dir=auto"
    without_s = None
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in (("without", ()), ("empty", (cache,)), ("full", (cache,))):
            process_s, record = run(Path(folder), workload, name, *flags)
            without_s = without_s or process_s
            seconds = record["seconds"]
            hits = record["environments"][0]["compilation_cache"]["hits"]
            print(
                f"{workload}, cache {name:<8} process {process_s:5.1f} s "
                f"({process_s / without_s:.2f}), compile {seconds['compile']:5.2f} s, "
                f"{hits} hits that saved {seconds['cache_saved']:.2f} s, "
                f"charged {seconds['submission']:5.2f} s"
            )


if __name__ == "__main__":
    main()
