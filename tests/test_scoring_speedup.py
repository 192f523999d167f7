"""Speed-ups over a reference, and the runlength profile, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from score_trees import (
    INF,
    MISSED,
    TARGET,
    board_of,
    logs_of,
    one_trial_each,
    record,
    rows_reaching,
    rules_for,
    score_logs_of,
    trials_of,
)

from scoring.cube import trial_cube
from scoring.scoreboard import Scoreboard, score_logs
from scoring.speedup import (
    BUDGET_SHARES,
    LOOSENED,
    Runlength,
    Speedup,
    loosened,
    runlengths,
    speedups,
)
from scoring.statistics import Resamples, bootstrap

RULES = rules_for("a", "b", budget_s=100.0)


def drawn_from(board: Scoreboard, resamples: int = 500) -> Resamples:
    names = board.ratios.rows
    studies = trial_cube(board.runtimes, names, board.rules).min(axis=-1)
    return bootstrap(studies, names, board.rules, resamples=resamples)


def over(board: Scoreboard, reference: str) -> dict[str, Speedup]:
    found = speedups(board, drawn_from(board), reference)
    return {own.submission: own for own in found}


def test_the_budget_stands_for_a_target_that_was_missed():
    times = {
        "fast": {"a": [10] * 3, "b": [50] * 3},
        "base": {"a": [40] * 3, "b": [INF] * 3},
        "slow": {"a": [INF, 20, INF], "b": [INF] * 3},
    }
    board = board_of(one_trial_each(times), RULES)
    found = over(board, "base")
    assert list(found) == list(board.submissions)
    fast, base, slow = (found[name] for name in ("fast", "base", "slow"))
    assert fast.by_workload == pytest.approx({"a": 4.0, "b": 2.0}, rel=1e-12)
    assert fast.geometric_mean == pytest.approx(math.sqrt(8), rel=1e-12)
    assert fast.time_saved == pytest.approx(1 - 1 / math.sqrt(8), rel=1e-12)
    assert (fast.missing, fast.reference_missing) == ((), ("b",))
    assert (base.geometric_mean, base.time_saved) == (1.0, 0.0)
    assert base.by_workload == {"a": 1.0, "b": 1.0}
    assert (base.interval.low, base.interval.high) == (1.0, 1.0)
    # 40 seconds over the budget of 100; both missed b.
    assert slow.by_workload == pytest.approx({"a": 0.4, "b": 1.0}, rel=1e-12)
    assert slow.geometric_mean == pytest.approx(math.sqrt(0.4), rel=1e-12)
    assert slow.time_saved == pytest.approx(1 - 1 / math.sqrt(0.4), rel=1e-12)
    assert (slow.missing, slow.reference_missing) == (("a", "b"), ("b",))
    assert {own.reference for own in found.values()} == {"base"}


def test_it_does_not_depend_on_who_else_is_ranked():
    times = {"x": {"a": [30] * 3, "b": [9] * 3}, "base": {"a": [20] * 3, "b": [3] * 3}}
    with_third = times | {"best": {"a": [1] * 3, "b": [1] * 3}}
    alone, three = (
        over(board_of(one_trial_each(own), RULES), "base")
        for own in (times, with_third)
    )
    # Filters do not matter either: 20 and 30 seconds are too far from 1 second.
    assert alone["x"].by_workload == three["x"].by_workload
    assert alone["x"].geometric_mean == pytest.approx(math.sqrt(2 / 3 / 3), rel=1e-12)


def test_a_self_tuning_submission_has_its_own_budget():
    trials = [
        *trials_of(one_trial_each({"base": {"a": [10] * 3, "b": [10] * 3}})),
        *trials_of(one_trial_each({"own": {"a": [INF] * 3, "b": [10] * 3}}), "self"),
    ]
    board = score_logs_of(trials, replace(RULES, self_tuning_budget_factor=3.0))
    found = over(board, "base")
    assert found["own"].by_workload == pytest.approx({"a": 10 / 300, "b": 1.0})


def test_held_out_workloads_have_no_speedup():
    rules = rules_for("a", held_out={"a_tanh": "a"})
    times = {
        "x": {"a": [10] * 3, "a_tanh": [INF] * 3},
        "base": {"a": [20] * 3, "a_tanh": [20] * 3},
    }
    found = over(board_of(one_trial_each(times), rules), "base")
    assert found["x"].by_workload == pytest.approx({"a": 2.0})
    assert found["x"].missing == ()


def test_intervals_are_quantiles_of_the_resampled_speedups():
    times = {
        "x": {"a": [10, 20, 40], "b": [8] * 3},
        "base": {"a": [40] * 3, "b": [8] * 3},
    }
    board = board_of(one_trial_each(times), RULES)
    drawn = drawn_from(board, resamples=1_000)
    found = {own.submission: own for own in speedups(board, drawn, "base")}["x"]
    # The median of three drawn of 10, 20, 40: each end has 7/27, far above 2.5 %.
    assert (found.intervals["a"].low, found.intervals["a"].high) == pytest.approx(
        (1, 4)
    )
    assert (found.intervals["b"].low, found.intervals["b"].high) == (1.0, 1.0)
    ends = (found.interval.low, found.interval.high)
    assert ends == pytest.approx((1.0, 2.0), rel=1e-12)
    assert found.geometric_mean == pytest.approx(math.sqrt(2), rel=1e-12)
    gained = np.sqrt(40 / drawn.medians("x")[:, 0])
    expected = np.quantile(gained, [0.025, 0.975], method="inverted_cdf")
    assert ends == pytest.approx(tuple(expected), rel=1e-12)


def test_a_resample_that_misses_takes_the_budget():
    times = {
        "x": {"a": [10, INF, INF], "b": [8] * 3},
        "base": {"a": [40] * 3, "b": [8] * 3},
    }
    found = over(board_of(one_trial_each(times), RULES), "base")["x"]
    assert found.missing == ("a",)
    assert found.by_workload["a"] == pytest.approx(0.4)
    interval = found.intervals["a"]
    assert (interval.low, interval.high) == pytest.approx((0.4, 4.0))


def test_targets_are_loosened_towards_the_easier_side():
    (low,) = rules_for("a").workloads
    high = replace(low, goal="max", validation_target=0.8)
    assert loosened(low, 0.0) == 0.1
    assert loosened(low, 0.2) == pytest.approx(0.12)
    assert loosened(high, 0.2) == pytest.approx(0.64)
    # Of a target below zero too: a share of its size.
    assert loosened(replace(low, validation_target=-1.0), 0.1) == pytest.approx(-0.9)
    assert loosened(replace(high, validation_target=-1.0), 0.1) == pytest.approx(-1.1)


def runlength_of(*studies: list[tuple[float, float]], **changes) -> Runlength:
    trials = [record(rows, study=study) for study, rows in enumerate(studies)]
    rules = rules_for("a", studies=len(studies), budget_s=100.0)
    (found,) = runlengths(score_logs_of(trials, replace(rules, **changes)))
    return found


def test_runlength_by_hand():
    # 0.1 at 50 s; 0.105 (5 %) and more at 10 s. The other study is 20 % off.
    there = [(10.0, 0.105), (50.0, 0.1)]
    near = [(20.0, 0.2), (100.0, 0.12)]
    found = runlength_of(there, near)
    assert LOOSENED == (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
    assert found.reached == (0.5, 0.5, 0.5, 0.5, 0.5, 1.0)
    # Twelve pairs of study and target: three by 10 %, six by 50 %, seven by 100 %.
    profile = dict(zip(BUDGET_SHARES, found.profile, strict=True))
    assert profile[0.08] == 0.0
    assert profile[0.1] == profile[0.48] == pytest.approx(3 / 12)
    assert profile[0.5] == profile[0.98] == pytest.approx(6 / 12)
    assert profile[1.0] == pytest.approx(7 / 12)


def test_runlength_never_falls():
    rng = np.random.default_rng(0)
    studies = [
        [(float(t), float(v)) for t, v in zip(range(1, 99, 7), own, strict=True)]
        for own in rng.uniform(0.099, 0.16, (5, 14))
    ]
    found = runlength_of(*studies)
    assert list(found.reached) == sorted(found.reached)
    assert list(found.profile) == sorted(found.profile)
    assert 0 < found.reached[0] < found.reached[-1] <= 1
    assert found.profile[-1] == pytest.approx(np.mean(found.reached))


def test_runlength_counts_every_planned_study_and_the_own_budget():
    logs = logs_of([record(rows_reaching(75.0), ruleset="self")])
    rules = rules_for("a", "b", studies=2, budget_s=100.0)
    (found,) = runlengths(score_logs(logs, rules))
    assert found.reached == (0.25,) * 6  # one of two studies, one of two workloads
    profile = dict(zip(BUDGET_SHARES, found.profile, strict=True))
    assert (profile[0.48], profile[0.5]) == (0.0, 0.25)  # of 150 seconds


def test_runlength_does_not_take_rows_beyond_the_budget():
    found = runlength_of([(10.0, MISSED), (100.5, TARGET)])
    assert found.reached == (0.0,) * 6
    assert set(found.profile) == {0.0}
