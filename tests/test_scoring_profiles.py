"""Ratios, profiles and scores: hand-computed values and what must always hold."""

import numpy as np
import pytest

from algoperf.facts import UserError
from scoring.profiles import (
    Table,
    benchmark_scores,
    filtered_times,
    performance_profiles,
    performance_ratios,
    ranks,
    trapezoid_scores,
)
from scoring.rules import Rules, WorkloadRule

INF = np.inf


def workload(name: str, base: str = "") -> WorkloadRule:
    return WorkloadRule(name, base or name, "loss", "min", 1.0, 100.0)


RULES = Rules(name="test", workloads=(workload("a"), workload("b")))
HELD_OUT = Rules(
    name="test",
    workloads=(workload("a"), workload("b")),
    held_out=(workload("a_tanh", "a"),),
)


def table(values: list[list[float]], columns: tuple[str, ...] = ("a", "b")) -> Table:
    rows = tuple(f"s{i}" for i in range(len(values)))
    return Table(rows, columns, np.array(values, dtype=float))


def random_table(seed: int, submissions: int = 5, workloads: int = 6) -> Table:
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(5.0, 0.8, (submissions, workloads)))
    values[rng.random(values.shape) < 0.25] = INF
    return table(values.tolist(), tuple(f"w{i}" for i in range(workloads)))


def scores(times: Table) -> np.ndarray:
    rules = Rules(name="t", workloads=tuple(workload(name) for name in times.columns))
    return benchmark_scores(performance_ratios(filtered_times(times, rules)), 4.0)


def test_ratios_profiles_and_scores_by_hand():
    ratios = performance_ratios(table([[10, INF], [20, INF], [INF, INF]]))
    np.testing.assert_array_equal(ratios.values, [[1, INF], [2, INF], [INF, INF]])
    rho = performance_profiles(ratios, [1.0, 1.999, 2.0, 4.0])
    np.testing.assert_array_equal(
        rho, [[0.5, 0.5, 0.5, 0.5], [0, 0, 0.5, 0.5], [0, 0, 0, 0]]
    )
    # (4 - r) / 3 on one of the two workloads; the one nobody reached counts 0.
    np.testing.assert_allclose(benchmark_scores(ratios, 4.0), [1 / 2, 1 / 3, 0])
    assert ranks(benchmark_scores(ratios, 4.0)) == (1, 2, 3)
    assert ranks(np.array([0.5, 0.7, 0.5])) == (2, 1, 2)


def test_four_times_the_best_still_counts_and_more_does_not():
    counted = filtered_times(table([[10, 1], [40, 2], [40.001, 3]]), RULES)
    np.testing.assert_array_equal(counted.column("a"), [10, 40, INF])


def test_held_out_missed_or_missing_takes_the_base_out():
    columns = ("a", "b", "a_tanh")
    times = table([[10, 1, INF], [20, 1, 30], [30, 1, 60]], columns)
    counted = filtered_times(times, HELD_OUT)
    assert counted.columns == ("a", "b")
    np.testing.assert_array_equal(counted.column("a"), [INF, 20, 30])
    np.testing.assert_array_equal(counted.column("b"), [1, 1, 1])  # has no held-out
    # Ratios are to the best that remains: 20, not 10.
    np.testing.assert_allclose(performance_ratios(counted).column("a"), [INF, 1.0, 1.5])
    without = filtered_times(table([[10, 1], [20, 2]]), HELD_OUT)
    np.testing.assert_array_equal(without.column("a"), [INF, INF])


def test_held_out_far_from_the_best_takes_the_base_out():
    columns = ("a", "b", "a_tanh")
    times = table([[10, 1, 10], [10, 1, 40], [10, 1, 41]], columns)
    counted = filtered_times(times, HELD_OUT)
    np.testing.assert_array_equal(counted.column("a"), [10, 10, INF])


def test_held_out_of_a_missed_base_sets_no_best():
    # s0 is fast on the held-out workload but never reached the base: rule (a) takes
    # its 1 second away before the best is looked for, so 30 is not "too far".
    columns = ("a", "b", "a_tanh")
    counted = filtered_times(table([[INF, 1, 1], [20, 1, 30]], columns), HELD_OUT)
    np.testing.assert_array_equal(counted.column("a"), [INF, 20])


def test_the_best_of_a_base_includes_submissions_dropped_later():
    # s0 misses the held-out workload, but its 10 seconds still put 41 too far.
    columns = ("a", "b", "a_tanh")
    counted = filtered_times(table([[10, 1, INF], [41, 1, 5]], columns), HELD_OUT)
    np.testing.assert_array_equal(counted.column("a"), [INF, INF])


def test_filters_leave_their_input_alone():
    times = table([[10, 1], [90, 2]])
    filtered_times(times, RULES)
    np.testing.assert_array_equal(times.values, [[10, 1], [90, 2]])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_times_that_are_not_positive_are_rejected(bad: float):
    with pytest.raises(UserError, match=r"time of 's1' on 'b' is .*: times to target"):
        performance_ratios(table([[1, 2], [3, bad]]))
    with pytest.raises(UserError):
        filtered_times(table([[1, 2], [3, bad]]), RULES)


def test_a_table_has_a_value_for_every_name():
    with pytest.raises(ValueError, match=r"\(1, 1\) are not \(1, 2\)"):
        Table(("s",), ("a", "b"), np.zeros((1, 1)))


@pytest.mark.parametrize("seed", range(20))
class TestInvariants:
    def test_units_of_a_workload_do_not_matter(self, seed: int):
        times = random_table(seed)
        scaled = times.values.copy()
        scaled[:, seed % 6] *= 4.0  # a power of two: exact
        other = Table(times.rows, times.columns, scaled)
        np.testing.assert_array_equal(scores(times), scores(other))

    def test_order_of_submissions_does_not_matter(self, seed: int):
        times = random_table(seed)
        order = np.random.default_rng(seed).permutation(len(times.rows))
        shuffled = table(times.values[order].tolist(), times.columns)
        np.testing.assert_array_equal(scores(times)[order], scores(shuffled))

    def test_getting_faster_never_lowers_the_own_score(self, seed: int):
        times = random_table(seed)
        rng = np.random.default_rng(seed)
        before = scores(times)
        for column in range(len(times.columns)):
            faster = times.values.copy()
            finite = min(faster[0, column], 1_000.0)
            faster[0, column] = finite * rng.uniform(0.1, 1.0)
            after = scores(Table(times.rows, times.columns, faster))
            assert after[0] >= before[0]

    def test_scores_are_between_0_and_1(self, seed: int):
        result = scores(random_table(seed))
        assert (result >= 0).all()
        assert (result <= 1).all()

    def test_the_trapezoid_is_within_half_a_grid_step(self, seed: int):
        ratios = performance_ratios(random_table(seed))
        exact = benchmark_scores(ratios, 4.0)
        assert np.abs(exact - trapezoid_scores(ratios, 4.0)).max() <= 1 / 198


def test_fastest_everywhere_is_1():
    ratios = performance_ratios(table([[1, 2], [3, 4]]))
    assert benchmark_scores(ratios, 4.0)[0] == 1.0
    assert trapezoid_scores(ratios, 4.0)[0] == pytest.approx(1.0, rel=1e-12)
