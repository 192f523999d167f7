"""Medians, filters and gains of whole arrays are those of one leaderboard at a time."""

import warnings

import numpy as np
import pytest
from score_trees import INF, board_of, record, rules_for, score_logs_of

from scoring import profiles
from scoring.cube import (
    interpolated_seconds,
    median_gains,
    seconds_to,
    steps_to_target,
    study_gains,
    trial_cube,
)
from scoring.profiles import Table, benchmark_scores, filtered_times, performance_ratios

HELD_OUT = rules_for("a", "b", held_out={"b_tanh": "b"})


def random_seconds(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(3.0, 1.0, shape))
    values[rng.random(shape) < 0.3] = INF
    return values


@pytest.mark.parametrize("studies", range(1, 7))
def test_medians_are_those_of_numpy(studies: int):
    seconds = random_seconds((50, 4, studies), studies)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy subtracts infinities
        expected = np.median(seconds, axis=-1)
    np.testing.assert_array_equal(profiles.medians(seconds), expected)


@pytest.mark.parametrize(
    ("studies", "expected"),
    [
        ([3.0], 3.0),
        ([1.0, 4.0], 2.5),
        ([1.0, INF], INF),
        ([INF, INF], INF),
        ([9.0, INF, 1.0], 9.0),
        ([INF, 2.0, INF], INF),
        ([INF, 4.0, 1.0, 2.0], 3.0),
        ([INF, INF, 1.0, 2.0], INF),
        ([INF, 5.0, INF, 7.0, 6.0], 7.0),
    ],
)
def test_medians_by_hand(studies: list[float], expected: float):
    assert profiles.medians(np.array(studies)) == expected


def test_filters_with_leading_axes_equal_a_loop_over_tables():
    seconds = random_seconds((3, 40, 4, 3))
    before = seconds.copy()
    counted = profiles.counted_seconds(seconds, HELD_OUT)
    assert counted.shape == (3, 40, 4, 2)
    np.testing.assert_array_equal(seconds, before)
    rows = tuple("pqrs")
    columns = tuple(rule.name for rule in HELD_OUT.needed)
    dropped = 0
    for outer in range(3):
        for inner in range(40):
            alone = Table(rows, columns, seconds[outer, inner])
            expected = filtered_times(alone, HELD_OUT)
            np.testing.assert_array_equal(counted[outer, inner], expected.values)
            dropped += (
                np.isfinite(seconds[outer, inner, :, :2]) & np.isinf(expected.values)
            ).sum()
            score = benchmark_scores(performance_ratios(expected), 4.0)
            gained = median_gains(seconds[outer, inner], HELD_OUT)
            np.testing.assert_array_equal(gained.mean(axis=-1), score)
    assert dropped > 100  # the filters had something to do


def brute_filter(times: np.ndarray) -> np.ndarray:
    """SCORING.md 1.5 for columns a, b, b_tanh, cell by cell."""
    times = times.tolist()
    for row in times:
        if row[1] == INF:
            row[2] = INF
    best = [min(row[column] for row in times) for column in range(3)]
    for row in times:
        for column in range(3):
            if row[column] > 4 * best[column]:
                row[column] = INF
    for row in times:
        if row[2] == INF:
            row[1] = INF
    return np.array(times)[:, :2]


def test_filters_equal_the_rules_word_by_word():
    for seconds in random_seconds((300, 5, 3), 7):
        found = profiles.counted_seconds(seconds, HELD_OUT)
        np.testing.assert_array_equal(found, brute_filter(seconds))


@pytest.mark.parametrize("tau_max", [2.0, 4.0, 10.0])
def test_trapezoid_gains_are_those_of_numpy_on_the_published_grid(tau_max: float):
    rng = np.random.default_rng(1)
    taus = np.linspace(1.0, tau_max, 100)
    ratios = np.concatenate(
        [taus, rng.uniform(1.0, 2 * tau_max, 300), [1.0, tau_max, INF]]
    )
    found = profiles.gains(ratios, tau_max, by_trapezoid=True)
    expected = [
        np.trapezoid((ratio <= taus).astype(float), taus) / (tau_max - 1)
        for ratio in ratios
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_exact_gains_by_hand():
    ratios = np.array([1.0, 2.5, 4.0, 4.5, INF])
    np.testing.assert_array_equal(profiles.gains(ratios, 4.0), [1.0, 0.5, 0, 0, 0])
    np.testing.assert_array_equal(profiles.gains(ratios, 2.0), [1.0, 0, 0, 0, 0])


def test_study_gains_by_hand():
    # Medians 10 and 20 of three studies; nobody reaches b.
    seconds = np.array([[[5.0, 10.0, INF], [INF] * 3], [[20.0, 20.0, 1.0], [INF] * 3]])
    found = study_gains(seconds, rules_for("a", "b"))
    np.testing.assert_allclose(found, [[1.0, 0.0], [2 / 3, 0.0]])


def test_a_cube_has_every_planned_trial():
    rules = rules_for("a", "b", studies=2, trials=3)
    board = board_of({"x": {"a": [[3.0, INF, 2.0, 1.0], [7.0]]}, "y": {}}, rules)
    cube = trial_cube(board.runtimes, ("y", "x"), rules)
    assert cube.shape == (2, 2, 2, 3)
    assert np.isinf(cube[0]).all()
    # The fourth trial is one too many; the second study lacks two.
    assert cube[1, 0].tolist() == [[3.0, INF, 2.0], [7.0, INF, INF]]
    assert np.isinf(cube[1, 1]).all()


def test_measures_of_an_attempt():
    rows = [(10.0, 0.9), (20.0, 0.3), (30.0, 0.05)]
    known = record(rows, steps=[1, 2, 3])
    unknown = record(rows, submission="t", steps=[1, 2, None])
    missed = record(rows[:2], submission="u")
    rules = rules_for("a", studies=1)
    board = score_logs_of([known, unknown, missed], rules)

    def measured(measure):
        return trial_cube(board.runtimes, "stu", rules, measure)[:, 0, 0, 0].tolist()

    assert measured(steps_to_target)[::2] == [3.0, INF]
    assert np.isnan(measured(steps_to_target)[1])
    # 0.1 lies at four fifths of the line from 0.3 to 0.05.
    assert measured(interpolated_seconds) == pytest.approx([28.0, 28.0, INF])
    assert measured(seconds_to(0.5, "min")) == [20.0, 20.0, 20.0]
    assert measured(seconds_to(0.01, "min")) == [INF, INF, INF]
