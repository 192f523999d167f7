"""What must hold for any leaderboard, on random ones."""

import math
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from score_trees import INF, board_of, logs_of, rules_for, trials_of, write_tree

from scoring.load import load_logs
from scoring.profiles import medians
from scoring.scoreboard import Scoreboard, score_logs
from scoring.statistics import bootstrap

PROPERTY = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
NAMES = ("p", "q", "r", "s")
PLAIN = rules_for("a", "b", "c", studies=3, trials=2, budget_s=2000.0)
HELD_OUT = rules_for(
    "a",
    "b",
    "c",
    held_out={"a_tanh": "a", "b_tanh": "b"},
    studies=3,
    trials=2,
    budget_s=2000.0,
)
# Whole seconds make ties and just four times the best; some trials miss.
seconds = st.one_of(st.integers(1, 30).map(float), st.floats(0.5, 1000.0), st.just(INF))
both_rules = pytest.mark.parametrize("rules", [PLAIN, HELD_OUT], ids=["plain", "held"])


@st.composite
def fields(draw: st.DrawFn) -> dict:
    """Seconds of up to four submissions, with missing trials, studies, workloads."""
    studies = st.lists(st.lists(seconds, max_size=2), max_size=3)
    names = NAMES[: draw(st.integers(1, 4))]
    workloads = [rule.name for rule in HELD_OUT.needed]
    return {name: {own: draw(studies) for own in workloads} for name in names}


def scores_of(board: Scoreboard) -> dict[str, float]:
    return {entry.submission: entry.score for entry in board.entries}


@both_rules
@PROPERTY
@given(times=fields(), by_trapezoid=st.booleans())
def test_scores_lie_between_0_and_1(rules, times, by_trapezoid):
    board = board_of(times, rules, by_trapezoid)
    assert all(0 <= score <= 1 for score in scores_of(board).values())
    reached = [e.workloads_reached for e in board.entries]
    if any(reached):
        # Somebody is the best of the workload.
        assert max(scores_of(board).values()) > 0


@both_rules
@PROPERTY
@given(times=fields())
def test_resampled_scores_lie_between_0_and_1(rules, times):
    board = board_of(times, rules)
    runtimes = board.runtimes.results
    names = board.ratios.rows
    studies = [
        [runtimes[name, rule.name].study_times_s for rule in rules.needed]
        for name in names
    ]
    drawn = bootstrap(np.array(studies), names, rules, resamples=50)
    for scores in (drawn.scores, drawn.nested_scores):
        assert ((scores >= 0) & (scores <= 1 + 1e-12)).all()


def each_trial(times: dict) -> Iterator[tuple[list[float], int]]:
    for studies in times.values():
        for own in studies:
            for place in range(len(own)):
                yield own, place


@both_rules
@PROPERTY
@given(times=fields(), data=st.data())
def test_getting_faster_never_lowers_the_own_score(rules, times, data):
    before = scores_of(board_of(times, rules))
    name = data.draw(st.sampled_from(sorted(times)))
    factor = st.sampled_from([1.0, 0.99, 0.5, 0.25, 0.01])
    for own, place in each_trial(times[name]):
        if math.isinf(own[place]):
            own[place] = data.draw(st.sampled_from([INF, 500.0, 3.0]))
        else:
            own[place] *= data.draw(factor)
    after = scores_of(board_of(times, rules))
    assert after[name] >= before[name] - 1e-12


@both_rules
@PROPERTY
@given(times=fields(), data=st.data())
def test_a_submission_that_is_faster_everywhere_scores_no_lower(rules, times, data):
    slower = data.draw(st.sampled_from(sorted(times)))
    factor = data.draw(st.sampled_from([0.999, 0.5, 0.1]))
    times["t"] = {
        workload: [[factor * t for t in study] for study in studies]
        for workload, studies in times[slower].items()
    }
    found = scores_of(board_of(times, rules))
    assert found["t"] >= found[slower]


@both_rules
@PROPERTY
@given(times=fields(), seed=st.integers(0, 1_000))
def test_the_order_of_trials_and_submissions_does_not_matter(rules, times, seed):
    trials = trials_of(times)
    expected = score_logs(logs_of(trials, times), rules)
    rng = random.Random(seed)
    names = sorted(times)
    rng.shuffle(trials)
    rng.shuffle(names)
    found = score_logs(logs_of(trials, names), rules)
    assert found.entries == expected.entries
    assert found.notes == expected.notes


@settings(PROPERTY, max_examples=25)
@given(times=fields(), seed=st.integers(0, 1_000))
def test_the_order_of_folders_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, times, seed
):
    times = times | {"t": {"a": [[5.0]]}}
    root = write_tree(tmp_path_factory.mktemp("tree"), times)
    expected = load_logs(root, HELD_OUT)
    rng = random.Random(seed)
    listdir, listed = os.listdir, []

    def shuffled(path: str | Path = ".") -> list[str]:
        names = listdir(path)
        rng.shuffle(names)
        listed.append(names)
        return names

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", shuffled)
        found = load_logs(root, HELD_OUT)
    assert listed
    assert found == expected


@both_rules
@PROPERTY
@given(times=fields(), power=st.integers(-8, 8), factor=st.floats(0.01, 100.0))
def test_the_unit_of_time_does_not_matter(rules, times, power, factor):
    def scaled(by: float) -> dict[str, float]:
        workloads = tuple(
            replace(own, max_runtime_s=own.max_runtime_s * by)
            for own in rules.workloads
        )
        guards = tuple(
            replace(own, max_runtime_s=own.max_runtime_s * by) for own in rules.held_out
        )
        other = {
            name: {
                workload: [[t * by for t in study] for study in studies]
                for workload, studies in own.items()
            }
            for name, own in times.items()
        }
        changed = replace(rules, workloads=workloads, held_out=guards)
        return scores_of(board_of(other, changed))

    expected = scores_of(board_of(times, rules))
    assert scaled(2.0**power) == expected
    # Not on seconds that are four times others but for a rounding error.
    assert scaled(factor) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@PROPERTY
@given(studies=st.lists(seconds, min_size=1, max_size=6), copies=st.integers(1, 4))
def test_the_same_studies_again_leave_the_median(studies, copies):
    again = np.array(studies * copies)
    assert medians(again) == medians(np.array(studies))
    rules = rules_for("a", studies=len(studies) * copies)
    once = rules_for("a", studies=len(studies))
    expected = board_of({"s": {"a": [[t] for t in studies]}}, once)
    found = board_of({"s": {"a": [[t] for t in studies * copies]}}, rules)
    assert found.times.values == expected.times.values


@both_rules
@PROPERTY
@given(times=fields(), tau_max=st.sampled_from([2.0, 4.0, 7.5]))
def test_the_exact_integral_is_that_of_a_fine_grid(rules, times, tau_max):
    board = board_of(times, replace(rules, tau_max=tau_max))
    points = 4_000
    # Midpoints; each workload's step falls into one cell: off by half a cell at most.
    taus = 1 + (np.arange(points) + 0.5) / points * (tau_max - 1)
    profile = board.profile(taus.tolist())
    for row, name in enumerate(profile.rows):
        area = profile.values[row].mean()
        assert scores_of(board)[name] == pytest.approx(area, abs=0.5 / points + 1e-9)


@both_rules
@PROPERTY
@given(times=fields())
def test_a_submission_that_reaches_nothing_changes_no_other(rules, times):
    expected = scores_of(board_of(times, rules))
    found = scores_of(board_of(times | {"t": {}}, rules))
    assert found == expected | {"t": 0.0}


@PROPERTY
@given(times=fields())
def test_profiles_rise_to_the_share_that_was_reached(times):
    board = board_of(times, HELD_OUT)
    profile = board.profile([1.0, 1.5, 2.0, 3.0, 4.0, 1e300])
    assert (np.diff(profile.values, axis=1) >= 0).all()
    reached = {own.submission: own.workloads_reached for own in board.entries}
    for row, name in enumerate(profile.rows):
        assert profile.values[row, -1] == pytest.approx(reached[name] / 3)
