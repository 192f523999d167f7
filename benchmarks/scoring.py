"""What scoring costs: `algoperf score` on trees of logs, and the bootstrap alone.

Trees of 60 rows a trial and 120 trials a submission are made in a temporary folder and
scored by the command in a process of its own, start included, without the page and
with it. The slope of log seconds over log trials says how the time grows: 1 is linear.
The bootstrap is timed against the same resamples scored one at a time.

    python benchmarks/scoring.py --most=40000
"""

import argparse
import itertools
import math
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# This file has the name of the package: its folder must not be looked in first.
sys.path.remove(str(Path(__file__).resolve().parent))

from scoring.cube import study_gains
from scoring.rules import WorkloadRule, get_rules
from scoring.statistics import bootstrap, uncertainty

TREES = (1_000, 4_000, 10_000, 40_000)
ROWS, STUDIES, TRIALS = 60, 3, 5
LOOPED = 200
MEASURE = """
import resource, sys
from scoring.cli import main
main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)
"""


def write_trial(folder: Path, rule: WorkloadRule, draws: random.Random) -> None:
    """A trial with AlgoPerf's columns whose metric nears the target and passes it."""
    folder.mkdir(parents=True)
    columns = ["accumulated_eval_time", "accumulated_logging_time"]
    columns += ["accumulated_submission_time", "global_step", "preemption_count"]
    columns += ["score", "total_duration", f"train/{rule.metric}", "train/other"]
    columns += [rule.column, "validation/num_examples", f"test/{rule.metric}"]
    columns += ["test/other", "test/num_examples"]
    speed = draws.uniform(0.5, 2.0)
    lines = [",".join(columns)]
    for row in range(1, ROWS + 1):
        time_s = rule.max_runtime_s * 0.99 * row / ROWS
        done = min(1.0, 1.3 * speed * row / ROWS)
        value = rule.validation_target * (done if rule.goal == "max" else 2 - done)
        cells = [time_s / 5, time_s / 50, time_s, 100 * row, 0, time_s, time_s * 1.2]
        cells += [value, value, value, 10_000, value, value, 10_000]
        lines.append(",".join(map(str, cells)))
    (folder / "eval_measurements.csv").write_text("\n".join([*lines, ""]))


def write_tree(root: Path, trials: int) -> int:
    """Submissions with every planned trial; returns how many trials there are."""
    draws = random.Random(0)
    workloads = get_rules("v0.6").workloads
    each = STUDIES * len(workloads) * TRIALS
    submissions = math.ceil(trials / each)
    for submission in range(submissions):
        for study in range(STUDIES):
            for rule in workloads:
                for trial in range(1, TRIALS + 1):
                    folder = f"s{submission}/study_{study}/{rule.name}_jax"
                    write_trial(root / folder / f"trial_{trial}", rule, draws)
    return submissions * each


def measured(root: Path, output: Path, *flags: str) -> tuple[float, float]:
    """Process seconds and MB of the command, start included."""
    command = [sys.executable, "-c", MEASURE, f"--submission_directory={root}"]
    command += ["--rules=v0.6", f"--output_dir={output}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, megabytes = done.stderr.split()[-2:]
    return float(seconds), float(megabytes)


def time_trees(most: int) -> None:
    """Prints the time and memory of each tree, and the slope."""
    print("trials  process s    MB  with the page s")
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for trials in (size for size in TREES if size <= most):
            root = Path(folder) / f"{trials}"
            count = write_tree(root, trials)
            measured(root, Path(folder) / "out", "--noreport")  # warms the file cache
            seconds, size = measured(root, Path(folder) / "out", "--noreport")
            with_page, _ = measured(root, Path(folder) / "out")
            print(f"{count:6,} {seconds:10.2f} {size:5.0f} {with_page:16.2f}")
            points.append((math.log(count), math.log(seconds)))
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        print(f"slope from {math.exp(x0):,.0f}: {(y1 - y0) / (x1 - x0):.2f}")


def time_bootstrap() -> None:
    """10,000 resamples of 11 submissions, 14 workloads and 5 studies."""
    rules = get_rules("v0.5")
    draws = np.random.default_rng(0)
    shape = (11, len(rules.needed), rules.studies)
    cube = np.exp(draws.normal(8.0, 0.4, shape))
    names = tuple(f"s{place}" for place in range(shape[0]))
    started = time.perf_counter()
    resamples = bootstrap(cube, names, rules)
    uncertainty(resamples.scores, names)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(LOOPED):
        chosen = draws.integers(rules.studies, size=shape)
        study_gains(np.take_along_axis(cube, chosen, axis=-1), rules).mean(axis=-1)
    looped = (time.perf_counter() - started) * len(resamples.scores) / LOOPED
    print(
        f"bootstrap 11 x 14 x 5, {len(resamples.scores):,} resamples: {ours:.2f} s; "
        f"one at a time {looped:.2f} s, {looped / ours:.1f}x"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10_000, help="trials at most")
    time_bootstrap()
    time_trees(parser.parse_args().most)
