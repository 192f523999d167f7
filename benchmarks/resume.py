"""What an interruption costs: seconds until the next step, and the steps that are lost.

  python benchmarks/resume.py [--rounds=5]

A trial on digits is started, killed at a random step between two evaluations, and
started again, with the checkpoints of evaluations alone and with --checkpoint_every_s.
Prints the median seconds from the start of the process to the end of its first step, of
a fresh trial and of a resumed one, and how many steps have to be made again.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SUBMISSION = REPOSITORY / "tests/submissions/resumable"  # 4 ms a step and more
EVERY_STEPS = 200
CHECKPOINT_EVERY_S = 0.25
# Prints the step that begins, at once: all that is measured from outside.
PROGRAM = """
import sys
from algoperf.watchdog import Watchdog
plain = Watchdog.at
def at(self, doing, step):
    plain(self, doing, step)
    if doing == "waiting for the device" or doing == "a step":
        print("at", step, flush=True)
Watchdog.at = at
from algoperf.cli.main import main
sys.exit(main())
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    fresh: list[float] = []
    for every_s in (None, CHECKPOINT_EVERY_S):
        chance = random.Random(0)
        found = [interrupted(chance, every_s, fresh) for _ in range(rounds)]
        resumed = statistics.median(seconds for seconds, _ in found)
        lost = [steps for _, steps in found]
        name = "evaluations" if every_s is None else f"every {every_s:g} s too"
        first = statistics.median(fresh)
        print(
            f"checkpoints at {name}: first step of a fresh trial after {first:.2f} s, "
            f"of a resumed one {resumed:.2f} s, ratio {resumed / first:.2f}; steps "
            f"lost {statistics.median(lost):g}, at most {max(lost)} (an evaluation "
            f"every {EVERY_STEPS})"
        )


def interrupted(
    chance: random.Random, every_s: float | None, fresh: list[float]
) -> tuple[float, int]:
    """Seconds to the first step after a kill, and the steps lost; adds to `fresh`."""
    with tempfile.TemporaryDirectory() as folder:
        last = EVERY_STEPS + chance.randrange(20, EVERY_STEPS)
        seconds, _, reached = steps_of(Path(folder), every_s, last)
        fresh.append(seconds)
        seconds, first, _ = steps_of(Path(folder), every_s, None)
        return seconds, reached - first


def steps_of(
    folder: Path, every_s: float | None, last: int | None
) -> tuple[float, int, int]:
    """Runs until step `last`, or the first; kills. Seconds to the first, it, the last.

    A step is there when the next one begins.
    """
    words = [
        "run",
        "--workload=digits",
        f"--submission_path={SUBMISSION}",
        "--rng_seed=0",
        "--max_global_steps=2000",
        f"--eval_every_steps={EVERY_STEPS}",
        "--probe=off",
    ]
    if every_s is not None:
        words.append(f"--checkpoint_every_s={every_s}")
    path = os.pathsep.join(
        filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
    )
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    first, step, seconds = None, 0, 0.0
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith("at "):
            continue
        step = int(line.split()[1])
        if first is None:
            first = step
        if step > first and not seconds:
            seconds = time.perf_counter() - began
        if seconds and (last is None or step >= last):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if first is None or not seconds:
        raise SystemExit(f"no step was made: {' '.join(words)}")
    return seconds, first, step


if __name__ == "__main__":
    main()
