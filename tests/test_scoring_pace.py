"""Seconds per step and their spread, shares of the clock, the board in steps."""

from pathlib import Path

import pytest
from score_trees import (
    MISSED,
    TARGET,
    board_of,
    one_trial_each,
    record,
    rules_for,
    score_logs_of,
    write_text,
)

from scoring.load import TrialRecord, load_logs
from scoring.pace import ClockSplit, Pace, clock_splits, paces, seconds_per_step
from scoring.scoreboard import score_logs
from scoring.steps import score_steps


def run(pace: float, study: int = 0, trial: int = 1, seconds=None) -> TrialRecord:
    """A trial that compiles for 5 seconds and then takes `pace` seconds per step."""
    rows = [(5.0, MISSED), (5.0 + 40 * pace, MISSED), (5.0 + 100 * pace, TARGET)]
    return record(rows, study=study, trial=trial, steps=[1, 41, 101], seconds=seconds)


def pace_of(*trials: TrialRecord) -> Pace:
    (found,) = paces(score_logs_of(trials, rules_for("a", trials=3)))
    return found


def test_seconds_per_step_leave_out_what_came_before_the_first_evaluation():
    assert seconds_per_step(run(0.25)) == pytest.approx(0.25, rel=1e-12)


@pytest.mark.parametrize(
    ("rows", "steps"),
    [
        ([(5.0, 0.9)], [10]),
        ([], []),
        ([(5.0, 0.9), (6.0, 0.9)], [None, None]),
        ([(5.0, 0.9), (6.0, 0.9)], [10, 10]),
        ([(5.0, 0.9), (6.0, 0.9)], [10, 5]),
        ([(5.0, 0.9), (5.0, 0.9)], [10, 20]),
        ([(5.0, 0.9), (4.0, 0.9)], [10, 20]),
    ],
)
def test_rows_without_a_pace(rows: list[tuple[float, float]], steps: list[int | None]):
    assert seconds_per_step(record(rows, steps=steps)) is None


def test_a_resumed_trial_goes_back_in_time_and_step_together():
    rows = [(10.0, 0.9), (30.0, 0.9), (20.0, 0.9), (40.0, 0.9)]
    assert seconds_per_step(record(rows, steps=[10, 30, 20, 40])) == 1.0


def test_the_median_trial_of_each_study_and_their_spread():
    found = pace_of(
        *(run(pace, 0, trial) for trial, pace in enumerate((1.0, 3.0, 2.0), start=1)),
        run(2.5, study=1),
    )
    assert (found.submission, found.workload) == ("s", "a")
    assert found.by_study == pytest.approx({0: 2.0, 1: 2.5})
    assert found.spread == pytest.approx(1.25)
    assert found.trial_spread == pytest.approx(3.0)
    assert found.uneven


def test_up_to_a_tenth_between_studies_is_even():
    assert not pace_of(run(1.0), run(1.09, study=1), run(1.05, study=2)).uneven
    assert pace_of(run(1.0), run(1.11, study=1), run(1.05, study=2)).uneven
    # Trials of one study may differ: they have their own hyperparameters.
    alone = pace_of(run(1.0), run(2.0, trial=2))
    assert (alone.uneven, alone.spread) == (False, 1.0)


def test_no_pace_without_steps_or_logs():
    unknown = record([(1.0, 0.9), (2.0, 0.9)], steps=[None, None])
    rules = rules_for("a", "b")
    assert paces(score_logs_of([unknown], rules)) == ()


def split_of(*trials: TrialRecord) -> ClockSplit:
    (found,) = clock_splits(score_logs_of(trials, rules_for("a", trials=3)))
    return found


def test_shares_of_the_clock_by_hand():
    first = {"submission": 60.0, "evaluation": 30.0, "logging": 10.0}
    second = {"submission": 100.0, "evaluation": 0.0, "logging": 0.0}
    parts = {"compile": 15.0, "data_wait": 3.0}
    found = split_of(run(1, seconds=first | parts), run(1, trial=2, seconds=second))
    # Uncharged shares over both trials, 200 seconds; the parts over the first alone.
    assert (found.evaluation, found.logging) == (0.15, 0.05)
    assert (found.compile, found.data_wait) == (0.25, 0.05)


def test_shares_that_no_log_has_are_none():
    found = split_of(run(1, seconds={"submission": 5.0}))
    shares = (found.evaluation, found.logging, found.compile, found.data_wait)
    assert shares == (None,) * 4
    nothing = split_of(run(1, seconds={"submission": 0.0, "compile": 0.0}))
    assert nothing.compile is None


def test_no_clock_of_a_workload_without_logs():
    found = clock_splits(score_logs_of([run(1.0)], rules_for("a", "b")))
    assert [own.workload for own in found] == ["a"]


def test_trial_json_knows_better_than_the_columns(tmp_path: Path):
    header = "accumulated_submission_time,validation/loss,accumulated_eval_time,"
    text = f"{header}accumulated_logging_time\n1,0.9,1,0\n6,0.1,3,1\n"
    at = "s/study_0/a_jax/trial_1"
    write_text(tmp_path / "columns" / at, text)
    folder = write_text(tmp_path / "json" / at, text)
    (folder / "trial.json").write_text(
        '{"tuning_ruleset": "external", "seconds": {"submission": 50, "evaluation": 40,'
        ' "logging": 10, "compile": 5, "data_wait": 10}}'
    )
    rules = rules_for("a", studies=1)
    columns, facts = (
        clock_splits(score_logs(load_logs(tmp_path / name, rules), rules))[0]
        for name in ("columns", "json")
    )
    # Before the trial.json was complete: the last row of the file, 6 + 3 + 1 seconds.
    assert columns == ClockSplit("s", "a", 0.3, 0.1, None, None)
    assert facts == ClockSplit("s", "a", 0.4, 0.1, 0.1, 0.2)


class TestSteps:
    def test_the_fewest_steps_of_each_study_not_those_of_the_fastest(self):
        trials = [
            record([(10.0, TARGET)], "x", trial=1, steps=[300]),
            record([(20.0, TARGET)], "x", trial=2, steps=[100]),
            record([(5.0, TARGET)], "y", steps=[200]),
        ]
        board = score_logs_of(trials, rules_for("a", studies=1, trials=2))
        found = score_steps(board)
        assert found is not None
        assert (found.medians["x", "a"], found.medians["y", "a"]) == (100.0, 200.0)
        assert found.ratios["y", "a"] == 2.0
        assert found.scores == pytest.approx({"x": 1.0, "y": 2 / 3})
        assert found.ranks == {"x": 1, "y": 2}
        assert board.submissions == ("y", "x")  # in seconds

    def test_the_budget_is_still_in_seconds(self):
        late = record([(1001.0, TARGET)], steps=[1])
        found = score_steps(score_logs_of([late], rules_for("a", studies=1)))
        assert found is not None
        assert found.scores == {"s": 0.0}

    def test_held_out_workloads_guard_steps_too(self):
        rules = rules_for("a", held_out={"a_tanh": "a"}, studies=1)
        times = {"x": {"a": [5]}, "y": {"a": [6], "a_tanh": [6]}}
        found = score_steps(board_of(one_trial_each(times), rules))
        assert found is not None
        assert found.medians.columns == ("a", "a_tanh")
        assert found.scores == {"x": 0.0, "y": 1.0}

    @pytest.mark.parametrize("step", [None, 0, -5])
    def test_none_if_a_target_was_reached_at_no_step(self, step: int | None):
        trial = record([(5.0, TARGET)], steps=[step])
        rules = rules_for("a", studies=1)
        board = board_of({"s": {"a": [[5.0]]}}, rules)
        assert score_steps(board) is not None
        assert score_steps(score_logs_of([trial], rules)) is None

    def test_the_trapezoid_is_kept_to(self):
        times = one_trial_each({"x": {"a": [5]}, "y": {"a": [8]}})
        found = score_steps(board_of(times, rules_for("a", studies=1), True))
        assert found is not None
        # r = 1.6 of 4: 80 of 100 grid points, the last of them half.
        assert found.scores["y"] == pytest.approx(79.5 / 99)
