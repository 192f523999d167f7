"""Seconds a step of the mini workloads, and what of them is not the step itself.

A trial without evaluations (its data, its clock, the submission's functions) against
the submission's jitted step alone, over and over on one batch that is on the device
already. Both run adamw, in turns, in one process.

  python benchmarks/mini_steps.py --workloads=cifar_mini,imagenet_vit_mini
"""

import argparse
import itertools
import statistics
import tempfile
from pathlib import Path

import jax
from loop_overhead import adamw, bare_loop, harness_loop, in_turns

from algoperf.trial_folder import TrialFolder
from workloads.catalog import CATALOG
from workloads.loading import load

WARMUP_STEPS = 20
BASES = [f.name for f in CATALOG.values() if f.scale == "mini" and f.base == f.name]


def measure(name: str, folder: Path, steps: int, rounds: int) -> None:
    """Times the two loops in turns, and prints a line."""
    workload = load(name)
    submission, point = adamw()
    size = workload.facts.batch_size
    one_batch = itertools.repeat(next(workload.batches("train", size)))
    step = bare_loop(workload, submission, point, one_batch)
    trial_folder = TrialFolder(folder)
    trial = harness_loop(workload, submission, point, trial_folder, size)
    step(WARMUP_STEPS)
    trial(WARMUP_STEPS)
    pairs = in_turns(step, trial, steps, rounds)
    trial_folder.close()
    print(
        f"{name:<30} step {statistics.median(s for s, _ in pairs) * 1e3:7.2f} ms, "
        f"trial {statistics.median(t for _, t in pairs) * 1e3:7.2f} ms a step, "
        f"outside the step {statistics.median(1 - s / t for s, t in pairs):6.1%}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workloads", default=",".join(BASES))
    parser.add_argument("--steps", type=int, default=25, help="a round")
    parser.add_argument("--rounds", type=int, default=11)
    flags = parser.parse_args()
    print(f"{flags.rounds} rounds of {flags.steps} on {jax.devices()[0].device_kind}")
    with tempfile.TemporaryDirectory() as folder:
        for name in flags.workloads.split(","):
            measure(name, Path(folder) / name, flags.steps, flags.rounds)


if __name__ == "__main__":
    main()
