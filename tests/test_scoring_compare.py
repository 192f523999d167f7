"""Two submissions compared: speed-ups, intervals, verdicts and what is printed."""

import numpy as np
import pytest
from score_trees import INF, board_of, one_trial_each, rules_for

from scoring.compare import Comparison, compare
from scoring.compare_report import render_comparison
from scoring.cube import trial_cube
from scoring.statistics import bootstrap

RULES = rules_for("a", "b", "c", "d", budget_s=100.0)
TIMES = {
    # a: x clearly; b: they overlap; c: nobody; d: y alone.
    "x": {"a": [10, 11, 12], "b": [10, 20, 30], "c": [INF] * 3, "d": [INF] * 3},
    "y": {"a": [30, 31, 32], "b": [12, 21, 28], "c": [INF] * 3, "d": [5] * 3},
}


def compared(times, a: str, b: str, rules=RULES) -> Comparison:
    board = board_of(one_trial_each(times), rules)
    names = board.ratios.rows
    studies = trial_cube(board.runtimes, names, rules).min(axis=-1)
    return compare(board, bootstrap(studies, names, rules, resamples=2_000), a, b)


def test_verdicts_workload_by_workload():
    found = compared(TIMES, "x", "y")
    verdicts = {own.workload: own.verdict for own in found.workloads}
    assert verdicts == {
        "a": "a",
        "b": "not separated",
        "c": "neither reached the target",
        "d": "b",
    }
    own = {one.workload: one for one in found.workloads}
    assert (own["a"].a_time_s, own["a"].b_time_s) == (11.0, 31.0)
    assert own["a"].a_study_times_s == (10.0, 11.0, 12.0)
    assert own["b"].b_study_times_s == (12.0, 21.0, 28.0)
    assert own["a"].speedup == pytest.approx(31 / 11)
    ends = (own["a"].interval.low, own["a"].interval.high)
    assert ends == pytest.approx((30 / 12, 32 / 10))
    # x missed d: its budget of 100 seconds stands for its time.
    assert own["d"].speedup == pytest.approx(5 / 100)
    assert (own["c"].speedup, own["c"].a_time_s) == (1.0, INF)


def test_the_other_way_round_is_the_mirror_image():
    one, other = compared(TIMES, "x", "y"), compared(TIMES, "y", "x")
    swap = {"a": "b", "b": "a"}
    for own, mirrored in zip(one.workloads, other.workloads, strict=True):
        assert mirrored.verdict == swap.get(own.verdict, own.verdict)
        assert mirrored.speedup == pytest.approx(1 / own.speedup)
        assert mirrored.interval.low == pytest.approx(1 / own.interval.high, rel=0.05)
    assert other.score_difference == pytest.approx(-one.score_difference)
    assert (other.a_beats_b, other.b_beats_a) == (one.b_beats_a, one.a_beats_b)
    assert other.verdict == swap.get(one.verdict, one.verdict)
    assert other.speedup.geometric_mean == pytest.approx(1 / one.speedup.geometric_mean)


def test_a_clear_winner():
    times = {"x": {"a": [10, 11, 12]}, "y": {"a": [30, 31, 32]}}
    found = compared(times, "x", "y", rules_for("a"))
    assert (found.verdict, found.speedup_verdict) == ("a", "a")
    assert (found.a_beats_b, found.b_beats_a) == (1.0, 0.0)
    # x is first with 1, y has (4 - 31/11) / 3.
    assert found.score_difference == pytest.approx(1 - (4 - 31 / 11) / 3)
    assert found.score_interval.low > 0
    lost = compared(times, "y", "x", rules_for("a"))
    assert (lost.verdict, lost.speedup_verdict) == ("b", "b")
    assert lost.score_difference < 0


def test_equal_submissions_are_not_separated():
    own = {"a": [10, 20, 30]}
    found = compared({"x": own, "y": own}, "x", "y", rules_for("a"))
    assert (found.verdict, found.speedup_verdict) == ("not separated",) * 2
    assert found.score_difference == 0.0
    assert found.a_beats_b == pytest.approx(found.b_beats_a, abs=0.05)
    assert found.workloads[0].verdict == "not separated"


def test_a_submission_against_itself_is_not_separated():
    found = compared(TIMES, "x", "x")
    assert (found.verdict, found.speedup_verdict) == ("not separated",) * 2
    assert (found.speedup.geometric_mean, found.score_difference) == (1.0, 0.0)
    assert (found.a_beats_b, found.b_beats_a) == (0.0, 0.0)


def test_the_score_interval_is_that_of_the_differences():
    board = board_of(one_trial_each(TIMES), RULES)
    names = board.ratios.rows
    studies = trial_cube(board.runtimes, names, RULES).min(axis=-1)
    drawn = bootstrap(studies, names, RULES, resamples=1_000)
    found = compare(board, drawn, "x", "y")
    difference = drawn.scores[:, 0] - drawn.scores[:, 1]
    ends = np.quantile(difference, [0.025, 0.975], method="inverted_cdf")
    assert (found.score_interval.low, found.score_interval.high) == tuple(ends)
    assert found.a_beats_b == (difference > 0).mean()


def test_what_is_printed():
    lines = render_comparison(compared(TIMES, "x", "y")).splitlines()
    assert lines[0] == "x against y: above 1x, x is faster"
    table = {line.split()[0]: " ".join(line.split()) for line in lines[3:8]}
    assert table["a"] == (
        "a 11.0 31.0 2.82x 2.50 to 3.20 x faster 10.0, 11.0, 12.0 | 30.0, 31.0, 32.0"
    )
    assert "not separated 10.0, 20.0, 30.0 | 12.0, 21.0, 28.0" in table["b"]
    assert table["c"] == "c - - - - neither reached the target -, -, - | -, -, -"
    assert table["d"] == ("d - 5.0 0.05x 0.05 to 0.05 y faster -, -, - | 5.0, 5.0, 5.0")
    assert table["all"].startswith("all (geometric mean) 0.62x ")
    score, *notes = lines[8:]
    assert score.startswith("score: x has ")
    assert notes == [
        "note: x missed c, d: its budget stands for its time there",
        "note: y missed c: its budget stands for its time there",
    ]
