"""The bootstrap: its draws, intervals, probabilities and groups."""

import itertools
import math

import numpy as np
import pytest
from score_trees import INF, rules_for

from scoring import statistics
from scoring.cube import study_gains
from scoring.profiles import medians
from scoring.statistics import (
    bootstrap,
    default_resamples,
    groups,
    medians_at,
    middle_places,
    quantile_interval,
    separated,
    uncertainty,
)

RULES = rules_for("a", "b", held_out={"b_tanh": "b"})


def random_studies(studies: int = 3, submissions: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(3.0, 0.6, (submissions, 3, studies)))
    values[rng.random(values.shape) < 0.15] = INF
    return values


NAMES = ("p", "q", "r", "s")


@pytest.mark.parametrize("studies", range(1, 7))
def test_medians_of_places_are_medians_of_the_drawn_values(studies: int):
    ordered = np.sort(random_studies(studies), axis=-1)
    rng = np.random.default_rng(1)
    chosen = rng.integers(studies, size=(200, *ordered.shape))
    drawn = np.take_along_axis(np.broadcast_to(ordered, chosen.shape), chosen, axis=-1)
    found = medians_at(ordered, middle_places(chosen))
    np.testing.assert_array_equal(found, medians(drawn))


class TestBootstrap:
    def test_seeded(self):
        studies = random_studies()
        one, same = (bootstrap(studies, NAMES, RULES, seed=5) for _ in range(2))
        np.testing.assert_array_equal(one.scores, same.scores)
        np.testing.assert_array_equal(one.nested_scores, same.nested_scores)
        assert one.scores.shape == one.nested_scores.shape == (10_000, 4)
        assert one.seed == 5
        other = bootstrap(studies, NAMES, RULES, seed=6)
        assert (one.scores != other.scores).any()

    def test_the_order_of_studies_is_not_looked_at(self):
        studies = random_studies()
        shuffled = np.random.default_rng(0).permuted(studies, axis=-1)
        one, other = (bootstrap(s, NAMES, RULES) for s in (studies, shuffled))
        np.testing.assert_array_equal(one.scores, other.scores)

    def test_every_resample_is_scored_by_the_whole_rules(self):
        studies = random_studies()
        drawn = bootstrap(studies, NAMES, RULES, resamples=600)
        times = np.stack([drawn.medians(name) for name in NAMES], axis=1)
        assert times.shape == (600, 4, 3)
        # With one study a median is the study itself.
        gained = study_gains(times[..., None], RULES)
        np.testing.assert_array_equal(drawn.scores, gained.mean(axis=-1))
        by_trapezoid = bootstrap(studies, NAMES, RULES, True, resamples=600)
        gained = study_gains(times[..., None], RULES, by_trapezoid=True)
        np.testing.assert_array_equal(by_trapezoid.scores, gained.mean(axis=-1))

    def test_it_draws_each_median_as_often_as_the_binomial_says(self):
        # Of three studies drawn, the median is the smallest if two or more are: 7/27.
        studies = np.array([[[1.0, 2.0, 3.0]]])
        drawn = bootstrap(studies, ("p",), rules_for("a"), resamples=20_000)
        shares = [(drawn.medians("p") == t).mean() for t in (1.0, 2.0, 3.0)]
        assert shares == pytest.approx([7 / 27, 13 / 27, 7 / 27], abs=0.015)

    def test_submissions_and_workloads_are_drawn_on_their_own(self):
        studies = np.tile([[[1.0, 2.0, 3.0]]], (2, 2, 1))
        drawn = bootstrap(studies, ("p", "q"), rules_for("a", "b"), resamples=20_000)
        first = [drawn.medians(name) == 1.0 for name in "pq"]
        for one, other in itertools.combinations([*first[0].T, *first[1].T], 2):
            assert (one & other).mean() == pytest.approx((7 / 27) ** 2, abs=0.015)

    def test_nested_scores_average_drawn_workloads(self):
        # Every study is equal: only the draw of workloads varies. p gains 1 on a and
        # nothing on the other two: its nested score is Binomial(3, 1/3) / 3.
        studies = np.tile([[[5.0], [INF], [INF]]], (1, 1, 3))
        drawn = bootstrap(studies, ("p",), rules_for(*"abc"), resamples=20_000)
        assert (drawn.scores == 1 / 3).all()
        found = [
            np.isclose(drawn.nested_scores, k / 3, rtol=1e-12).mean() for k in range(4)
        ]
        expected = [math.comb(3, k) * 2 ** (3 - k) / 27 for k in range(4)]
        assert found == pytest.approx(expected, abs=0.015)
        assert sum(found) == pytest.approx(1.0)

    def test_nested_scores_take_the_same_workloads_for_all(self):
        studies = np.tile([[[5.0], [INF]], [[INF], [5.0]]], (1, 1, 3))
        drawn = bootstrap(studies, ("p", "q"), rules_for("a", "b"), resamples=300)
        np.testing.assert_allclose(drawn.nested_scores.sum(axis=1), 1.0)
        assert set(drawn.nested_scores[:, 0].tolist()) == {0.0, 0.5, 1.0}

    def test_the_number_of_resamples_does_not_depend_on_the_chunks(self, monkeypatch):
        for count in (1, 499, 500, 501, 1_250):
            drawn = bootstrap(random_studies(), NAMES, RULES, resamples=count)
            assert len(drawn.scores) == len(drawn.nested_scores) == count
            assert np.isfinite(drawn.scores).all()
        monkeypatch.setattr(statistics, "_CHUNK", 7)
        drawn = bootstrap(random_studies(), NAMES, RULES, resamples=20)
        assert (drawn.nested_scores <= 1).all()
        assert len(drawn.medians("p")) == 20


def test_fewer_resamples_for_very_many_submissions():
    assert default_resamples(1) == default_resamples(70) == 10_000
    assert default_resamples(100) == 5_000
    assert default_resamples(10_000) == 200
    assert default_resamples(0) == 10_000


# [resamples, submissions]: x leads in 3 of 4, y and z tie in one of them.
TINY = np.array([[0.9, 0.5, 0.1], [0.8, 0.2, 0.2], [0.7, 0.3, 0.1], [0.4, 0.6, 0.5]])


def test_uncertainty_by_hand():
    x, y, z = uncertainty(TINY, ("x", "y", "z"), level=0.5)
    assert [own.submission for own in (x, y, z)] == ["x", "y", "z"]
    assert (x.rank_1, y.rank_1, z.rank_1) == (0.75, 0.25, 0.0)
    assert x.beats == {"y": 0.75, "z": 0.75}
    assert y.beats == {"x": 0.25, "z": 0.75}  # the tie is nobody's
    assert z.beats == {"x": 0.25, "y": 0.0}
    # Linear quartiles of 0.4, 0.7, 0.8, 0.9.
    assert (x.score.low, x.score.high) == pytest.approx((0.625, 0.825))
    # Ranks x: 1 1 1 3, y: 2 2 2 1 (tied with z in one), z: 3 2 3 2.
    ends = [(own.rank.low, own.rank.high) for own in (x, y, z)]
    assert ends == [(1, 1), (1, 2), (2, 3)]
    assert x.score.level == x.rank.level == 0.5


def test_a_submission_alone_is_first():
    (x,) = uncertainty(np.array([[0.0], [0.5]]), ("x",))
    assert (x.rank_1, x.beats, x.rank.low, x.rank.high) == (1.0, {}, 1, 1)


def test_the_ends_of_ranks_are_ranks_that_it_had():
    # Once first and three times third: between them lies no second place.
    scores = np.array([[0.9, 0.2, 0.1], *[[0.1, 0.9, 0.8]] * 3])
    (x, *_) = uncertainty(scores, ("x", "y", "z"), level=0.5)
    assert (x.rank.low, x.rank.high) == (1, 3)


def test_equal_scores_share_the_first_rank():
    x, y = uncertainty(np.full((5, 2), 0.3), ("x", "y"))
    assert (x.rank_1, y.rank_1) == (1.0, 1.0)
    assert x.beats == {"y": 0.0}
    assert (y.rank.low, y.rank.high) == (1, 1)


@pytest.mark.parametrize(("lost", "apart"), [(0, True), (1, True), (2, False)])
def test_separated_if_at_most_half_of_the_rest_is_lost(lost: int, apart: bool):
    # One of 40 is 2.5 %.
    scores = np.tile([0.6, 0.4], (40, 1))
    scores[:lost] = scores[:lost, ::-1]
    expected = [[False, apart], [apart, False]]
    assert separated(scores).tolist() == expected


def test_identical_submissions_are_not_separated():
    rng = np.random.default_rng(0)
    scores = np.tile(rng.random((1_000, 1)), (1, 3))
    assert not separated(scores).any()
    # Neither are those that tie often enough.
    scores[:50, 1] += 0.1
    assert not separated(scores).any()
    scores[:, 2] += 1e-9
    assert separated(scores)[0].tolist() == [False, False, True]


def apart_from(pairs: set[str], names: str) -> np.ndarray:
    """`separated` as a matrix: 'xy' for x and y apart."""
    return np.array([[a + b in pairs or b + a in pairs for b in names] for a in names])


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"ab", "bc", "cd", "ac", "bd", "ad"}, []),
        (set(), ["abcd"]),
        ({"ad"}, ["abc", "bcd"]),  # they overlap
        ({"ac", "ad", "bd"}, ["ab", "bc", "cd"]),
        ({"ab", "ac", "ad"}, ["bcd"]),
        ({"ac", "ad", "bc", "bd"}, ["ab", "cd"]),
        ({"bc"}, ["ab", "cd"]),  # a and d are alike, but not neighbours
    ],
)
def test_groups_are_the_longest_runs(pairs: set[str], expected: list[str]):
    order = ("a", "b", "c", "d")
    for names in ("abcd", "dcba", "cadb"):
        found = groups(order, tuple(names), apart_from(pairs, names))
        assert ["".join(group) for group in found] == expected


def test_intervals_of_values_that_may_be_infinite():
    values = np.array([1.0, 2.0, INF, INF])
    assert (quantile_interval(values).low, quantile_interval(values).high) == (1, INF)
    found = quantile_interval(np.arange(1, 101, dtype=float), 0.9)
    assert (found.low, found.high, found.level) == (5.0, 95.0, 0.9)
