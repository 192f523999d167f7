"""Every variation of a leaderboard, computed by hand on three submissions."""

import math
from dataclasses import replace

import pytest
from score_trees import (
    INF,
    MISSED,
    TARGET,
    board_of,
    one_trial_each,
    record,
    rules_for,
    score_logs_of,
    trials_of,
)

from scoring import sensitivity
from scoring.load import TrialRecord
from scoring.scoreboard import Scoreboard
from scoring.sensitivity import Kind, Variation, summaries, variations

RULES = rules_for("a", "b", "c")
# Medians: a 10, 20, 50 (too far); b 30, 10, missed; c 10, 10, 20.
TIMES = one_trial_each(
    {
        "x": {"a": [10, 10, 60], "b": [30] * 3, "c": [10] * 3},
        "y": {"a": [20] * 3, "b": [10] * 3, "c": [10] * 3},
        "z": {"a": [50] * 3, "b": [INF] * 3, "c": [20] * 3},
    }
)
BASE = {"x": 7 / 9, "y": 8 / 9, "z": 2 / 9}


def near_miss() -> list[TrialRecord]:
    """The trials of TIMES; z is within 1 % of the target on b after 20 seconds."""
    rows = [(10.0, MISSED), (20.0, 0.1009)]
    return [
        record(rows, "z", "b", own.study)
        if (own.submission, own.workload) == ("z", "b")
        else own
        for own in trials_of(TIMES)
    ]


@pytest.fixture(scope="module")
def board() -> Scoreboard:
    return score_logs_of(near_miss(), RULES)


@pytest.fixture(scope="module")
def found(board: Scoreboard) -> dict[tuple[Kind, str], Variation]:
    return {(own.kind, own.what): own for own in variations(board)}


def test_the_leaderboard_itself(board: Scoreboard):
    scores = {entry.submission: entry.score for entry in board.entries}
    assert scores == pytest.approx(BASE, rel=1e-12)


def test_every_kind_is_there(found):
    counts: dict[str, int] = {}
    for kind, _ in found:
        counts[kind] = counts.get(kind, 0) + 1
    assert counts == {
        "leave one workload out": 3,
        "leave one submission out": 3,
        "tau_max": 9,
        "studies": math.comb(3, 1) + math.comb(3, 2),
        "target": 2 * 3,
        "interpolated times": 1,
        "steps instead of seconds": 1,
    }


@pytest.mark.parametrize(
    ("kind", "what", "expected"),
    [
        ("leave one workload out", "without a", (2 / 3, 1, 1 / 3)),
        ("leave one workload out", "without b", (1, 5 / 6, 1 / 3)),
        ("leave one workload out", "without c", (2 / 3, 5 / 6, 0)),
        ("leave one submission out", "without x", (None, 1, (1 / 2 + 2 / 3) / 3)),
        ("leave one submission out", "without y", (1, None, 2 / 9)),
        ("leave one submission out", "without z", (7 / 9, 8 / 9, None)),
        ("tau_max", "tau_max 2", (2 / 3, 2 / 3, 0)),
        ("tau_max", "tau_max 4", (7 / 9, 8 / 9, 2 / 9)),
        # (10 - r) / 9, and five times the best is not too far any more.
        ("tau_max", "tau_max 10", (25 / 27, 26 / 27, 13 / 27)),
        # Of study 2 alone x takes 60 seconds on a: y is the best there.
        ("studies", "only studies 2", (5 / 9, 1, (1 / 2 + 2 / 3) / 3)),
        ("studies", "only studies 0", (7 / 9, 8 / 9, 2 / 9)),
        # The mean of 10 and 60 seconds is 1.75 times the best.
        ("studies", "only studies 0, 2", (25 / 36, 1, (1 / 2 + 2 / 3) / 3)),
        ("target", "b target +1% (0.101)", (7 / 9, 8 / 9, 4 / 9)),
        # Everybody reached just 0.1.
        ("target", "a target -1% (0.099)", (4 / 9, 2 / 3, 2 / 9)),
        ("interpolated times", "target crossed between evaluations", None),
        ("steps instead of seconds", "the fewest steps", None),
    ],
)
def test_scores_by_hand(
    found, kind: Kind, what: str, expected: tuple[float | None, ...] | None
):
    expected = tuple(BASE.values()) if expected is None else expected
    scores = {
        name: score
        for name, score in zip("xyz", expected, strict=True)
        if score is not None
    }
    variation = found[kind, what]
    assert variation.scores == pytest.approx(scores, rel=1e-12, abs=1e-12)
    better = sorted(scores.values(), reverse=True)
    ranks = {name: 1 + better.index(score) for name, score in scores.items()}
    assert variation.ranks == ranks
    changes = {name: score - BASE[name] for name, score in scores.items()}
    largest = max(map(abs, changes.values()))
    assert abs(variation.largest_change) == pytest.approx(largest, abs=1e-12)
    changed = pytest.approx(changes[variation.of], abs=1e-12)
    assert variation.largest_change == changed


def test_ranks_invert_only_where_b_does_not_count(found):
    inverted = {key: own.inversions for key, own in found.items() if own.inversions}
    # y was above x and is below it. The tie with tau_max 2 inverts nothing.
    assert inverted == {
        ("leave one workload out", "without b"): (("y", "x"),),
        ("target", "b target -1% (0.099)"): (("y", "x"),),
    }


def test_tau_max_of_the_rules_changes_nothing(found, board: Scoreboard):
    same = found["tau_max", "tau_max 4"]
    assert same.scores == {entry.submission: entry.score for entry in board.entries}
    assert same.largest_change == 0.0


def test_summaries(found):
    by_kind = {own.kind: own for own in summaries(found.values())}
    workloads = by_kind["leave one workload out"]
    assert workloads.count == 3
    assert workloads.inversions == (("y", "x"),)
    assert workloads.score_ranges["x"] == pytest.approx((2 / 3, 1.0))
    assert workloads.rank_ranges == {"x": (1, 2), "y": (1, 2), "z": (3, 3)}
    # Without c, z loses all of its 2/9; without b, x gains as much.
    assert abs(workloads.largest.largest_change) == pytest.approx(2 / 9)
    submissions = by_kind["leave one submission out"]
    assert submissions.score_ranges["y"] == pytest.approx((8 / 9, 1.0))
    target = by_kind["target"]
    assert target.largest.largest_change == pytest.approx(-1 / 3)
    assert target.inversions == (("y", "x"),)


def test_the_trapezoid_is_kept_to():
    board = board_of(TIMES, RULES, by_trapezoid=True)
    same = next(own for own in variations(board) if own.what == "tau_max 4")
    assert same.scores == {entry.submission: entry.score for entry in board.entries}
    assert same.scores["x"] != pytest.approx(BASE["x"], abs=1e-6)


def test_one_workload_and_one_submission_have_nothing_to_leave_out():
    board = board_of(one_trial_each({"x": {"a": [5.0]}}), rules_for("a", studies=1))
    kinds = {own.kind for own in variations(board)}
    assert kinds == {
        "tau_max",
        "target",
        "interpolated times",
        "steps instead of seconds",
    }


def test_a_target_of_a_metric_that_grows_is_easier_below():
    (rule,) = rules_for("a", studies=1).workloads
    rule = replace(rule, metric="accuracy", goal="max", validation_target=0.8)
    rules = replace(rules_for("a", studies=1), workloads=(rule,))
    near = record([(10.0, 0.5), (20.0, 0.795)], "near")
    board = score_logs_of([near, record([(10.0, 0.8)], "there")], rules)
    found = {own.what: own.scores for own in variations(board) if own.kind == "target"}
    assert found["a target -1% (0.792)"] == pytest.approx({"near": 2 / 3, "there": 1.0})
    assert found["a target +1% (0.808)"] == {"near": 0.0, "there": 0.0}


def test_rows_beyond_the_budget_do_not_reach_an_easier_target():
    late = record([(10.0, MISSED), (1001.0, TARGET)], "late")
    board = score_logs_of([late], rules_for("a", studies=1))
    assert all(own.scores == {"late": 0.0} for own in variations(board))


def test_interpolated_times_and_steps_are_their_own_measures():
    # Crossed at 15 of 20 seconds against 20 of 20; 5 steps against 1.
    early = record([(10.0, 0.2), (20.0, 0.0)], "early", steps=[1, 5])
    exact = record([(10.0, 0.2), (20.0, 0.1)], "exact", steps=[0, 1])
    board = score_logs_of([early, exact], rules_for("a", studies=1))
    found = {own.kind: own.scores for own in variations(board)}
    assert found["interpolated times"] == pytest.approx(
        {"early": 1.0, "exact": (4 - 4 / 3) / 3}
    )
    assert found["steps instead of seconds"] == {"early": 0.0, "exact": 1.0}


def test_steps_that_the_logs_lack_are_left_out():
    unknown = record([(10.0, TARGET)], steps=[None])
    board = score_logs_of([unknown], rules_for("a", studies=1))
    assert "steps instead of seconds" not in {own.kind for own in variations(board)}


HELD_OUT = rules_for("a", "b", held_out={"a_tanh": "a", "b_tanh": "b"}, studies=1)


def test_held_out_workloads_go_with_their_base_and_alone():
    own = {"a": [10], "b": [10]}
    times = {
        "x": own | {"a_tanh": [INF], "b_tanh": [10]},
        "y": {"a": [20], "b": [INF], "a_tanh": [10], "b_tanh": [10]},
    }
    board = board_of(one_trial_each(times), HELD_OUT)
    base = {entry.submission: entry.score for entry in board.entries}
    assert base == {"x": 0.5, "y": 0.5}
    found = {own.what: own.scores for own in variations(board)}
    assert found["without a"] == {"x": 1.0, "y": 0.0}
    assert found["without b"] == {"x": 0.0, "y": 1.0}
    assert found["without a_tanh"] == pytest.approx({"x": 1.0, "y": 1 / 3})
    assert found["without b_tanh"] == base
    assert found["without any"] == found["without a_tanh"]
    # A target counts for the held-out workload too.
    assert found["a_tanh target -1% (0.099)"] == {"x": 0.5, "y": 0.0}


def test_so_many_studies_leave_few_out(monkeypatch: pytest.MonkeyPatch):
    times = one_trial_each({"x": {"a": [5.0] * 5}})
    board = board_of(times, rules_for("a", studies=5))
    counts = {own.kind: own.count for own in summaries(variations(board))}
    assert counts["studies"] == 2**5 - 2
    monkeypatch.setattr(sensitivity, "MOST_SUBSETS", 20)
    counts = {own.kind: own.count for own in summaries(variations(board))}
    assert counts["studies"] == math.comb(5, 4) + math.comb(5, 3)
    monkeypatch.setattr(sensitivity, "MOST_SUBSETS", 1)
    counts = {own.kind: own.count for own in summaries(variations(board))}
    assert counts["studies"] == math.comb(5, 4)
