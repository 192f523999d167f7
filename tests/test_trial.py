"""The loop: what is charged, when it evaluates, what submissions see."""

import json
from dataclasses import replace

import pytest
from fake_trial import FakeCheckpoints, submission
from fakes import FakeTime

from algoperf.clock import Seconds
from algoperf.limits import Limits
from algoperf.progress import Progress
from algoperf.stop_request import StopRequest


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
            stop.ask(15)
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


def test_random_data_has_no_target_to_reach(digits):
    metrics = {"validation/accuracy": 1.0, "test/accuracy": 1.0}
    for has_targets in (True, False):
        after = Progress().evaluated(
            digits.facts, metrics, Seconds(), 1.0, has_targets=has_targets
        )
        assert (after.outcome == "reached") == has_targets
        assert after.validation_goal_reached == has_targets
        assert after.test_goal_reached == has_targets


def test_checkpoints_between_evaluations_come_by_submission_time_uncharged(start):
    now = FakeTime()
    checkpoints = FakeCheckpoints(now, seconds=40.0)
    trial = start(
        submission(update_s=1.0, now=now),
        Limits(max_runtime_s=1e9, max_steps=10, eval_every_steps=8),
        now=now,
        checkpoints=checkpoints,
        checkpoint_every_s=2.5,
    )
    progress = trial.run(StopRequest())
    assert [step for step, _ in progress.eval_results] == [1, 8, 10]
    assert checkpoints.steps == [1, 4, 7, 8, 10]
    assert progress.seconds.submission == pytest.approx(10 * 1.0)
    assert progress.seconds.logging == pytest.approx(5 * 40.0)
