"""A trial on digits with a fake clock, fake checkpoints and a fake submission."""

from dataclasses import replace
from pathlib import Path

import jax
import pytest
from fakes import FakeTime, Quiet

from algoperf.clock import Clock
from algoperf.data import PlacedBatches
from algoperf.handed_workload import handed_to_submission
from algoperf.limits import Limits
from algoperf.metrics_logger import MetricsLogger
from algoperf.progress import Progress
from algoperf.submission import Submission, keep_everything, next_batch
from algoperf.train_state import TrainState
from algoperf.trial import Trial
from algoperf.trial_folder import TrialFolder
from workloads.loading import load

NEVER = Limits(max_runtime_s=1e9, max_steps=10, eval_every_steps=4)


class FakeCheckpoints:
    """Checkpoints that take time and are only counted."""

    def __init__(self, now: FakeTime, seconds: float):
        self.now, self.seconds = now, seconds
        self.steps: list[int] = []

    def save(self, step, state, progress):
        self.now.passes(self.seconds)
        self.steps.append(step)

    def wait(self):
        pass


def submission(update_s=0.0, prepare_s=0.0, now=None, update=None) -> Submission:
    """A submission that adds a little to every parameter and takes its time."""

    def update_params(**arguments):
        if now is not None:
            now.passes(update_s)
        if update is not None:
            return update(arguments)
        params = jax.tree.map(lambda p: p + 0.0, arguments["current_param_container"])
        return arguments["optimizer_state"], params, arguments["model_state"]

    def prepare_for_eval(**arguments):
        if now is not None:
            now.passes(prepare_s)
        return keep_everything(**arguments)

    return Submission(
        path=Path(__file__),
        source_digest="",
        get_batch_size=lambda name: 64,
        init_optimizer_state=lambda *arguments: None,
        update_params=update_params,
        prepare_for_eval=prepare_for_eval,
        data_selection=next_batch,
        get_eval_batch_size=None,
        sources=(Path(__file__),),
    )


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture
def start(digits, tmp_path):
    """Builds a trial on digits; `slow_eval_s` makes evaluations take fake time."""
    folder = TrialFolder(tmp_path / "trial_1")

    def build(plan, limits=NEVER, now=None, slow_eval_s=0.0, device_s=0.0, **changes):
        workload = digits
        if now is not None:
            summarize = workload.metrics.summarize

            def slow(measurements):
                now.passes(slow_eval_s / 3)  # one third each split
                return summarize(measurements)

            metrics = workload.metrics._replace(summarize=slow)
            workload = replace(workload, metrics=metrics)
            clock = Clock(now=now, wait=lambda tree: now.passes(device_s))
        else:
            clock = Clock()
        params, model_state = workload.init_model_fn(jax.random.PRNGKey(0))
        handed, logger = handed_to_submission(workload), MetricsLogger()
        handed.attach_metrics_logger(logger)
        return Trial(
            workload=workload,
            handed=handed,
            submission=plan,
            hyperparameters=None,
            limits=limits,
            folder=folder,
            observer=Quiet(),
            checkpoints=changes.pop("checkpoints", None),
            clock=clock,
            batches=PlacedBatches(workload.data.batches("train", 64, 0)),
            step_key=jax.random.PRNGKey(1),
            state=TrainState(params, model_state, None),
            progress=Progress(),
            logger=logger,
            **changes,
        )

    yield build
    folder.close()
