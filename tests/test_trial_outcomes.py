"""How a trial ends."""

import itertools
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from fake_trial import submission

from algoperf.clock import Seconds
from algoperf.progress import Progress
from algoperf.spec import TrainingCompleteError
from algoperf.stop_request import StopRequest


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
        "failed: RuntimeError: cannot do step 0 (at test_trial_outcomes.py"
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
