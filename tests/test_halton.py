"""The quasi-random points are AlgoPerf's, and point i never changes."""

import collections
import math
from typing import Any

import numpy as np
import pytest

from algoperf.facts import UserError
from algoperf.halton import generate_search, halton_points, scale

# AlgoPerf's own points for 3 samples in 2 dimensions, before it shuffles them.
GOLDEN = [
    (0.2739744372653363, 0.28612427728381884),
    (0.9911667058309517, 0.8300193327833143),
    (0.23023079535282354, 0.36079632571974196),
]
WITHOUT_SHIFT = [
    (0.7833163784333672, 0.5993945509586277),
    (0.5005086469989827, 0.1432896064581231),
    (0.7395727365208545, 0.6740665993945509),
]
GOLDEN_7 = (
    0.648493533117636,
    0.7565722923221863,
    0.3641415259118679,
    0.6914475933545885,
    0.13714606964468423,
    0.2739744372653363,
    0.28612427728381884,
)
BASES = (983, 991)


def test_points_are_those_of_algoperf():
    np.testing.assert_allclose(halton_points(3, 2), GOLDEN, rtol=0, atol=1e-14)


def test_points_in_7_dimensions_are_those_of_algoperf():
    (first,) = halton_points(1, 7)
    np.testing.assert_allclose(first, GOLDEN_7, rtol=0, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shift_per_dimension_is_all_that_is_added(axis):
    random = np.random.RandomState(BASES[axis])
    random.shuffle(list(range(BASES[axis] - 1)))  # AlgoPerf's digits come first
    shift = random.uniform()
    points = [point[axis] for point in halton_points(3, 2)]
    expected = [(point[axis] + shift) % 1 for point in WITHOUT_SHIFT]
    np.testing.assert_allclose(points, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dimensions", [1, 2, 4, 7])
def test_points_are_scrambled_van_der_corput_sequences(dimensions):
    bases = [947, 953, 967, 971, 977, 983, 991][-dimensions:]
    points = np.asarray(halton_points(20, dimensions))
    for axis, base in enumerate(bases):
        random = np.random.RandomState(base)
        digits = list(range(1, base))
        random.shuffle(digits)
        digits = [0, *digits]
        shift = random.uniform()
        # Below base**2 an index has two digits.
        expected = [
            (digits[i % base] / base + digits[i // base] / base**2 + shift) % 1
            for i in range(101, 121)
        ]
        np.testing.assert_allclose(points[:, axis], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dimensions", [1, 3, 7])
def test_a_longer_list_begins_with_the_shorter_one(dimensions):
    long = halton_points(60, dimensions)
    for count in (0, 1, 5, 59):
        assert halton_points(count, dimensions) == long[:count]


def test_points_do_not_depend_on_numpys_global_generator():
    np.random.seed(1)
    first = halton_points(5, 3)
    np.random.seed(2)
    assert halton_points(5, 3) == first


def test_points_fill_the_unit_cube_evenly():
    points = np.asarray(halton_points(900, 3))
    assert points.min() >= 0
    assert points.max() < 1
    for axis in points.T:
        counts = np.histogram(axis, bins=9, range=(0, 1))[0]
        assert counts.min() >= 90


def test_there_are_as_many_dimensions_as_primes():
    (point,) = halton_points(1, 166)
    assert len(point) == 166
    with pytest.raises(UserError, match="166 names at most, not 167"):
        halton_points(1, 167)


@pytest.mark.parametrize("unit", [0.0, 0.25, 0.5, math.nextafter(1, 0)])
def test_a_linear_range_is_mapped_by_its_length(unit):
    space = {"min": -2.0, "max": 6.0, "scaling": "linear"}
    assert scale(unit, space) == pytest.approx(-2 + 8 * unit, rel=1e-15)
    assert scale(unit, {"min": -2.0, "max": 6.0}) == scale(unit, space)


@pytest.mark.parametrize(
    ("unit", "expected"), [(0.0, 1e-4), (0.25, 1e-3), (0.5, 1e-2), (0.75, 1e-1)]
)
def test_a_log_range_is_mapped_by_its_decades(unit, expected):
    space = {"min": 1e-4, "max": 1.0, "scaling": "log"}
    assert scale(unit, space) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [(0.0, "a"), (0.33, "a"), (0.34, "b"), (0.67, None), (math.nextafter(1, 0), None)],
)
def test_feasible_points_share_the_unit_interval_evenly(unit, expected):
    assert scale(unit, {"feasible_points": ["a", "b", None]}) == expected


SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"min": 1e-4, "max": 1e-2, "scaling": "log"},
    "dropout_rate": {"feasible_points": [0.1]},
    "one_minus_beta1": {"min": 0.05, "max": 0.1, "scaling": "linear"},
}


def test_a_search_space_is_sampled_in_its_own_order():
    points = generate_search(SPACE, 5)
    for point, unit in zip(points, halton_points(5, 3), strict=True):
        assert type(point).__name__ == "Hyperparameters"
        assert point._fields == ("learning_rate", "dropout_rate", "one_minus_beta1")
        assert point.learning_rate == pytest.approx(1e-4 * 100 ** unit[0], rel=1e-12)
        assert point.dropout_rate == 0.1
        assert point.one_minus_beta1 == pytest.approx(0.05 + 0.05 * unit[2], rel=1e-12)


def test_a_single_feasible_point_takes_a_dimension():
    with_one = generate_search(SPACE, 3)
    without = generate_search({k: v for k, v in SPACE.items() if len(v) > 1}, 3)
    assert [p.learning_rate for p in with_one] != [p.learning_rate for p in without]


def test_values_of_feasible_points_are_drawn_in_equal_shares():
    space = {"beta": {"feasible_points": [1, 2, 3, 4]}}
    counts = collections.Counter(p.beta for p in generate_search(space, 991))
    assert sorted(counts) == [1, 2, 3, 4]
    assert max(counts.values()) - min(counts.values()) <= 4
