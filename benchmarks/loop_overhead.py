"""The harness's train loop against a bare `jax.jit` loop over the same step.

Both run the same submission (adamw), model and batches, in turns, in one process. The
median over many short rounds of the paired ratio is printed: a shared machine is noisy.
On `digits` the step is as short as steps get; a wider model has steps of about 10 ms.
With a step that does nothing at all the difference is the loop's own time: nothing of
it hides behind the device.

  python benchmarks/loop_overhead.py
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from algoperf.cli.bundled import find_submission, search_space_beside
from algoperf.clock import Clock
from algoperf.data_options import DataOptions
from algoperf.handed_workload import handed_to_submission
from algoperf.limits import Limits
from algoperf.metrics_logger import MetricsLogger
from algoperf.progress import Progress
from algoperf.spec import Batch
from algoperf.stop_request import StopRequest
from algoperf.submission import Submission, load_submission
from algoperf.train_state import TrainState
from algoperf.trial import Trial
from algoperf.trial_folder import TrialFolder
from algoperf.tuning import read_search_space, study_points
from algoperf.workload import Workload
from workloads import catalog
from workloads.loading import build

WARMUP_STEPS = 50
BATCH_SIZE = 64


class Silent:
    """Shows nothing."""

    def stepped(self, progress, submission_s):
        pass

    def evaluated(self, progress):
        pass

    def message(self, text):
        print(text)

    def ended(self, record):
        pass


def state_of(workload: Workload, submission, point) -> TrainState:
    params, model_state = workload.init_model_fn(jax.random.PRNGKey(0))
    optimizer_state = submission.init_optimizer_state(
        workload, params, model_state, point, jax.random.PRNGKey(1)
    )
    return TrainState(params, model_state, optimizer_state)


def empty_loop(workload: Workload, submission, point) -> Callable[[int], float]:
    """Takes n batches and does nothing with them; returns the seconds."""
    del submission, point
    batches = workload.batches("train", BATCH_SIZE)

    def run(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            next(batches)
        return time.perf_counter() - start

    return run


def do_nothing(*, optimizer_state, current_param_container, model_state, **unused):
    """A step that does nothing at all."""
    del unused
    return optimizer_state, current_param_container, model_state


def bare_loop(
    workload: Workload, submission, point, batches: Iterator[Batch] | None = None
) -> Callable[[int], float]:
    """Runs n steps of the submission's jitted step; returns the seconds."""
    batches = batches or workload.batches("train", BATCH_SIZE)
    params, model_state, returned = state_of(workload, submission, point)
    state, train_step = returned.optimizer, returned.functions.train_step
    key = jax.random.PRNGKey(2)

    def run(steps: int) -> float:
        nonlocal params, model_state, state
        start = time.perf_counter()
        for _ in range(steps):
            params, model_state, state, _ = train_step(
                params, model_state, state, next(batches), key
            )
        jax.block_until_ready(params)
        return time.perf_counter() - start

    return run


def harness_loop(
    workload: Workload,
    submission,
    point,
    folder: TrialFolder,
    batch_size: int = BATCH_SIZE,
) -> Callable[[int], float]:
    """Runs n more steps of a trial, without evaluations; returns the seconds."""
    handed, logger = handed_to_submission(workload), MetricsLogger()
    handed.attach_metrics_logger(logger)
    trial = Trial(
        workload=workload,
        handed=handed,
        submission=submission,
        hyperparameters=point,
        limits=Limits(1e9),
        folder=folder,
        observer=Silent(),
        checkpoints=None,
        clock=Clock(),
        batches=workload.batches("train", batch_size),
        step_key=jax.random.PRNGKey(2),
        state=state_of(workload, submission, point),
        progress=Progress(),
        logger=logger,
    )

    def run(steps: int) -> float:
        trial.progress = replace(trial.progress, outcome=None)
        trial.limits = Limits(1e9, trial.progress.step + steps, skip_evals=True)
        start = time.perf_counter()
        trial.run(StopRequest())
        return time.perf_counter() - start

    return run


def adamw() -> tuple[Submission, Any]:
    """The bundled submission, and its only point."""
    path = find_submission("adamw")
    space = search_space_beside(path)
    assert space is not None
    (point,) = study_points(read_search_space(space), 1)
    return load_submission(path), point


def in_turns(
    one: Callable[[int], float], other: Callable[[int], float], steps: int, rounds: int
) -> list[tuple[float, float]]:
    """Seconds a step of two loops, in each of some rounds."""
    pairs = []
    for i in range(rounds):
        # Who goes first alternates, so that drift of the machine hits both.
        order = (one, other) if i % 2 else (other, one)
        times = {loop: loop(steps) / steps for loop in order}
        pairs.append((times[one], times[other]))
    return pairs


def compare(
    title: str,
    workload: Workload,
    steps: int,
    rounds: int,
    folder: Path,
    empty: bool = False,
) -> None:
    """Times the two loops in turns and prints both, their ratio and difference."""
    submission, point = adamw()
    trial_folder = TrialFolder(folder)
    if empty:
        submission = submission._replace(update_params=do_nothing)
    bare = (empty_loop if empty else bare_loop)(workload, submission, point)
    harness = harness_loop(workload, submission, point, trial_folder)
    bare(WARMUP_STEPS)
    harness(WARMUP_STEPS)
    pairs = in_turns(bare, harness, steps, rounds)
    trial_folder.close()
    bare_s = statistics.median(b for b, _ in pairs)
    harness_s = statistics.median(h for _, h in pairs)
    ratio = statistics.median(h / b for b, h in pairs)
    extra_us = statistics.median(h - b for b, h in pairs) * 1e6
    print(
        f"{title}: bare {bare_s * 1e6:9.1f} us/step, harness {harness_s * 1e6:9.1f} "
        f"us/step, ratio {ratio:.3f}, difference {extra_us:+.0f} us"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=61)
    rounds = parser.parse_args().rounds
    digits = catalog.get("digits")
    wide = replace(digits, model={"hidden": (1536, 1536)})
    with tempfile.TemporaryDirectory() as folder:
        print(f"{rounds} rounds on {jax.devices()[0].device_kind}")
        compare(
            "digits       ",
            build(digits, None, DataOptions()),
            1000,
            rounds,
            Path(folder) / "digits",
        )
        compare(
            "about 10 ms  ",
            build(wide, None, DataOptions()),
            50,
            rounds,
            Path(folder) / "wide",
        )
        compare(
            "empty step   ",
            build(digits, None, DataOptions()),
            2000,
            rounds,
            Path(folder) / "empty",
            True,
        )


if __name__ == "__main__":
    main()
