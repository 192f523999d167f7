"""What a pre-flight says of a trial against what the trial then takes.

Both run in one process, the pre-flight first; the trial is cut off after some steps and
the pre-flight's numbers are taken for as many. Also says how long the pre-flight took.

  python benchmarks/preflight.py --workloads=digits,mnist_mini --steps=500
"""

import argparse
import tempfile
import time
from pathlib import Path

import jax
from calibrate import Silent

from algoperf.limits import Limits
from algoperf.preflight import (
    compiled_preflight,
    course,
    eval_batches,
    evaluation_size,
    measure,
)
from algoperf.stop_request import StopRequest
from algoperf.study import plan_study
from algoperf.submission import load_submission
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.loading import load

SUBMISSION = Path(__file__).parents[1] / "submissions" / "self_tuning" / "nadamw"
TIMED_STEPS = 20
BUDGET_S = 60.0


def compare(name: str, steps: int, folder: Path) -> None:
    """One workload: predicts, runs, and prints the ratios."""
    workload, submission = load(name), load_submission(SUBMISSION)
    facts = workload.facts
    start = time.perf_counter()
    size = evaluation_size(submission, facts)
    compiled_preflight(workload, submission, None, size)
    found = measure(workload, submission, None, size, TIMED_STEPS, BUDGET_S)
    preflight_s = time.perf_counter() - start
    limits = Limits(1e9, steps, facts.eval_period_s, facts.eval_period_steps)
    one_eval_s = found.eval_batch_s * eval_batches(facts, size)

    (plan,) = plan_study(folder, facts, 0, [None], seed=0)
    options = RunOptions("self", limits, save_checkpoints=False)
    record = TrialRun(plan, workload, SUBMISSION, options, Silent()).run(StopRequest())
    # A trial that reaches its target has fewer steps: compare step by step.
    took = record["seconds"]
    said = course(record["steps"], limits, found.step_s, found.compile_s, one_eval_s)
    step_s = (took["submission"] - took["compile"]) / record["steps"]
    print(
        f"{name:<22} pre-flight {preflight_s:5.1f} s; said / took: "
        f"step {found.step_s / step_s:5.2f} (took {step_s * 1e3:.2f} ms), "
        f"compile {found.compile_s / took['compile']:5.2f} "
        f"(took {took['compile']:.1f} s), all evaluations "
        f"{said.eval_s / took['evaluation']:5.2f} (took {took['evaluation']:.1f} s, "
        "with compiling them)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workloads", default="digits,mnist_mini")
    parser.add_argument("--steps", type=int, default=500)
    flags = parser.parse_args()
    print(f"{flags.steps} steps of nadamw on {jax.devices()[0].device_kind}")
    with tempfile.TemporaryDirectory() as folder:
        for name in flags.workloads.split(","):
            compare(name, flags.steps, Path(folder) / name)


if __name__ == "__main__":
    main()
