"""The loop: what is charged, when it evaluates, how it ends."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from fakes import FakeTime, Quiet

from algoperf.clock import Clock, Seconds
from algoperf.data import PlacedBatches
from algoperf.limits import Limits
from algoperf.metrics_logger import MetricsLogger
from algoperf.progress import Progress
from algoperf.spec import TrainingCompleteError
from algoperf.stop_request import StopRequest
from algoperf.submission import Submission, keep_everything, next_batch
from algoperf.trial import TrainState, Trial
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
        workload.attach_metrics_logger(MetricsLogger(folder.measurements))
        return Trial(
            workload=workload,
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
            logger=workload.metrics_logger,
            **changes,
        )

    yield build
    folder.close()


def test_slow_evaluations_and_checkpoints_are_not_charged(start):
    now = FakeTime()
    began = now.s
    checkpoints = FakeCheckpoints(now, seconds=40.0)
    trial = start(
        submission(update_s=1.0, now=now), now=now, slow_eval_s=30.0,
        checkpoints=checkpoints,
    )  # fmt: skip
    progress = trial.run(StopRequest())
    assert [step for step, _ in progress.eval_results] == [1, 4, 8, 10]
    assert checkpoints.steps == [1, 4, 8, 10]
    assert progress.seconds.submission == pytest.approx(10 * 1.0)
    assert progress.seconds.evaluation == pytest.approx(4 * 30.0)
    assert progress.seconds.logging == pytest.approx(4 * 40.0)
    assert progress.seconds.total == pytest.approx(now.s - began)


def test_prepare_for_eval_is_charged(start):
    now = FakeTime()
    trial = start(submission(update_s=1.0, prepare_s=5.0, now=now), now=now)
    assert trial.run(StopRequest()).seconds.submission == pytest.approx(10 + 4 * 5.0)


def test_queued_work_is_charged_before_the_clock_stops(start):
    now = FakeTime()
    trial = start(submission(update_s=1.0, now=now), now=now, device_s=3.0)
    progress = trial.run(StopRequest())
    first = progress.eval_results[0][1]
    assert first["score"] == first["accumulated_submission_time"] == 1.0 + 3.0
    assert progress.seconds.submission == pytest.approx(10 + 5 * 3.0)


def test_rows_carry_the_times_of_the_moment_training_paused(start):
    now = FakeTime()
    trial = start(submission(update_s=1.0, now=now), now=now, slow_eval_s=9.0)
    times = [values["score"] for _, values in trial.run(StopRequest()).eval_results]
    assert times == [1.0, 4.0, 8.0, 10.0]


def test_the_budget_is_checked_after_every_step(start):
    now = FakeTime()
    limits = Limits(max_runtime_s=6.5, eval_every_steps=1000)
    trial = start(submission(update_s=1.0, now=now), limits, now=now)
    progress = trial.run(StopRequest())
    assert progress.outcome == "out of time"
    assert progress.step == 7
    assert progress.eval_results[-1][0] == 7  # the last part is evaluated too


def test_a_period_in_seconds_counts_submission_time(start):
    now = FakeTime()
    limits = Limits(max_runtime_s=1e9, max_steps=12, eval_period_s=3.0)
    trial = start(submission(update_s=1.0, now=now), limits, now=now, slow_eval_s=100.0)
    progress = trial.run(StopRequest())
    assert [step for step, _ in progress.eval_results] == [1, 4, 7, 10, 12]


def test_a_target_beyond_the_budget_is_not_reached(digits):
    metrics = {"validation/accuracy": 1.0, "test/accuracy": 1.0}
    late = Progress(step=5).evaluated(digits.facts, metrics, Seconds(10.0), 9.0)
    assert late.outcome is None
    in_time = Progress(step=5).evaluated(digits.facts, metrics, Seconds(9.0), 9.0)
    assert in_time.outcome == "reached"


def test_reaching_the_target_ends_a_trial(start):
    def jump_to_the_answer(arguments):
        return None, arguments["current_param_container"], None

    trial = start(submission(update=jump_to_the_answer))
    easy = replace(trial.workload.facts, validation_target=0.0)
    trial.workload = replace(trial.workload, facts=easy)
    progress = trial.run(StopRequest())
    assert (progress.outcome, progress.step) == ("reached", 1)
    assert progress.validation_goal_reached


def test_nan_parameters_end_a_trial_as_diverged(start):
    def to_nan(arguments):
        params = jax.tree.map(
            lambda p: p * jnp.nan, arguments["current_param_container"]
        )
        return None, params, None

    progress = start(submission(update=to_nan)).run(StopRequest())
    assert (progress.outcome, progress.step) == ("diverged", 1)


def test_a_submission_that_is_done_gets_a_last_evaluation_of_the_old_state(start):
    steps = itertools.count()

    def stop_at_the_third(arguments):
        if next(steps) == 2:
            raise TrainingCompleteError
        return None, arguments["current_param_container"], None

    progress = start(submission(update=stop_at_the_third)).run(StopRequest())
    assert progress.outcome == "stopped by submission"
    assert [step for step, _ in progress.eval_results] == [1, 2]


def test_an_exception_ends_the_trial_with_its_traceback(start):
    def break_down(arguments):
        raise RuntimeError(f"cannot do step {arguments['global_step']}")

    trial = start(submission(update=break_down))
    progress = trial.run(StopRequest())
    assert progress.outcome == "failed"
    assert "cannot do step 0" in progress.error
    assert "break_down" in progress.error
    (message,) = trial.observer.messages
    assert message.startswith(
        "failed: RuntimeError: cannot do step 0 (at test_trial.py"
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda p: {**p, "output": jax.tree.map(jnp.transpose, p["output"])},
            r"kernel.*\(10, 128\)",
        ),
        (
            lambda p: {k: v for k, v in p.items() if k != "output"},
            "did not return parameter output/",
        ),
        (
            lambda p: {**p, "extra": jnp.ones(3)},
            "extra, which the workload does not have",
        ),
    ],
)
def test_parameters_of_another_shape_are_refused(start, change, text):
    def update(arguments):
        return None, change(arguments["current_param_container"]), None

    trial = start(submission(update=update))
    progress = trial.run(StopRequest())
    assert progress.outcome == "failed"
    assert "may not change the model" in progress.error
    assert re.search(text, progress.error)


def test_an_evaluation_that_fails_ends_the_trial_visibly(start):
    trial = start(submission())

    def broken(measurements):
        raise ValueError("no metric today")

    metrics = trial.workload.metrics._replace(summarize=broken)
    trial.workload = replace(trial.workload, metrics=metrics)
    progress = trial.run(StopRequest())
    assert progress.outcome == "failed"
    assert "no metric today" in progress.error


def test_skipped_evaluations_leave_the_limits_in_force(start):
    now = FakeTime()
    limits = Limits(5.0, eval_every_steps=1, skip_evals=True)
    progress = start(submission(update_s=1.0, now=now), limits, now=now).run(
        StopRequest()
    )
    assert progress.outcome == "out of time"
    assert progress.eval_results == ()


def test_a_stop_request_ends_the_loop_after_the_step(start):
    stop = StopRequest()

    def ask(arguments):
        if arguments["global_step"] == 5:
            stop.signal_number = 15
        return None, arguments["current_param_container"], None

    now = FakeTime()
    checkpoints = FakeCheckpoints(now, 0.0)
    trial = start(submission(update=ask), checkpoints=checkpoints)
    progress = trial.run(stop)
    assert progress.outcome is None
    assert progress.step == 6
    assert checkpoints.steps == [1, 4, 6]
    assert stop.exit_code == 143


def test_submissions_see_results_and_train_state(start):
    seen = []

    def look(arguments):
        seen.append((arguments["eval_results"], arguments["train_state"]))
        return None, arguments["current_param_container"], None

    start(submission(update=look)).run(StopRequest())
    assert seen[0][0] == []
    results, train_state = seen[9]
    assert [step for step, _ in results] == [1, 4, 8]
    assert {"train/loss", "validation/accuracy", "test/loss", "score"} <= results[0][
        1
    ].keys()
    assert train_state.keys() == {
        "validation_goal_reached",
        "test_goal_reached",
        "is_time_remaining",
        "last_eval_time",
        "training_complete",
        "accumulated_submission_time",
        "accumulated_eval_time",
        "accumulated_logging_time",
        "last_step_end_time",
    }
    with pytest.raises(TypeError):
        train_state["training_complete"] = True


def test_progress_survives_json(digits):
    metrics = {"validation/accuracy": 0.5, "test/accuracy": float("nan")}
    progress = Progress(step=3, batches=4).evaluated(
        digits.facts, metrics, Seconds(1.0, 2.0, 3.0, 0.5, 0.25), 100.0
    )
    again = Progress.from_dict(json.loads(json.dumps(progress.as_dict())))
    assert replace(again, eval_results=()) == replace(progress, eval_results=())
    assert str(again.eval_results) == str(progress.eval_results)


def test_a_target_metric_that_is_missing_in_a_result_is_not_a_silent_pass(digits):
    with pytest.raises(KeyError):
        Progress().evaluated(digits.facts, {"test/accuracy": 1.0}, Seconds(), 1.0)
