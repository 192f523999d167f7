"""What the clock charges, on a real run: slow parts against what was charged for them.

A submission on `digits` that sleeps in its steps and in prepare_for_eval, evaluations
and checkpoints that sleep too: the left column is how long the sleeps took, the right
one what the clock says, with their ratio.

  python benchmarks/clock.py
"""

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import jax
from loop_overhead import Silent, state_of

from algoperf.cli.bundled import find_submission
from algoperf.clock import Clock
from algoperf.handed_workload import handed_to_submission
from algoperf.limits import Limits
from algoperf.metrics_logger import MetricsLogger
from algoperf.progress import Progress
from algoperf.stop_request import StopRequest
from algoperf.submission import keep_everything, load_submission
from algoperf.trial import Trial
from algoperf.trial_folder import TrialFolder
from workloads.loading import load

STEPS, EVERY = 20, 5
STEP_S, PREPARE_S, EVALUATION_S, CHECKPOINT_S = 0.02, 0.2, 0.3, 0.4


class SlowCheckpoints:
    """Takes its time and saves nothing."""

    def save(self, step, state, progress):
        time.sleep(CHECKPOINT_S)

    def wait(self):
        pass


def slow_trial(folder: TrialFolder) -> Trial:
    """A trial in which every part takes its time."""
    workload = load("digits")
    submission = load_submission(find_submission("nadamw"))
    update, summarize = submission.update_params, workload.metrics.summarize

    def slow_update(**arguments):
        time.sleep(STEP_S)
        return update(**arguments)

    def slow_prepare(**arguments):
        time.sleep(PREPARE_S)
        return keep_everything(**arguments)

    def slow_summary(measurements):
        time.sleep(EVALUATION_S / 3)  # once a split
        return summarize(measurements)

    metrics = workload.metrics._replace(summarize=slow_summary)
    workload = replace(workload, metrics=metrics)
    handed, logger = handed_to_submission(workload), MetricsLogger()
    handed.attach_metrics_logger(logger)
    return Trial(
        workload=workload,
        handed=handed,
        submission=submission._replace(
            update_params=slow_update, prepare_for_eval=slow_prepare
        ),
        hyperparameters=None,
        limits=Limits(1e9, STEPS, eval_every_steps=EVERY),
        folder=folder,
        observer=Silent(),
        checkpoints=SlowCheckpoints(),  # type: ignore[arg-type]
        clock=Clock(),
        batches=workload.batches("train", 64),
        step_key=jax.random.PRNGKey(2),
        state=state_of(workload, submission, None),
        progress=Progress(),
        logger=logger,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = TrialFolder(Path(name))
        trial = slow_trial(folder)
        began = time.perf_counter()
        progress = trial.run(StopRequest())
        wall_s = time.perf_counter() - began
        folder.close()
    evaluations = len(progress.eval_results)
    seconds = progress.seconds
    slept = {
        "submission": STEPS * STEP_S + evaluations * PREPARE_S + seconds.compile,
        "evaluation": evaluations * EVALUATION_S,
        "logging": evaluations * CHECKPOINT_S,
    }
    for account, expected_s in slept.items():
        found_s = asdict(seconds)[account]
        print(
            f"{account:<11} slept (and compiled) {expected_s:6.2f} s, clock "
            f"{found_s:6.2f} s, ratio {found_s / expected_s:.3f}"
        )
    print(
        f"{'total':<11} wall                 {wall_s:6.2f} s, clock "
        f"{seconds.total:6.2f} s, ratio {seconds.total / wall_s:.3f}"
    )


if __name__ == "__main__":
    main()
