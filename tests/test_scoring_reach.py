"""The first row at a target, its bracket and crossing; rows as columns."""

import math
from dataclasses import replace

import numpy as np
import pytest
from score_trees import record, workload

from algoperf.facts import Goal
from scoring.reach import best_so_far, find_reach, first_at, rows_that_count
from scoring.rows import NO_ROWS, EvalRow, EvalRows
from scoring.rules import WorkloadRule

MIN = workload("a", budget_s=100.0)
MAX = replace(MIN, metric="accuracy", goal="max", validation_target=0.8)


def reach(rule: WorkloadRule, *rows: tuple[float, float], budget_s: float = 100.0):
    counting = rows_that_count(record(rows).rows, budget_s)
    return find_reach(7, rule, counting)


@pytest.mark.parametrize(
    ("rule", "values", "crossing"),
    [
        (MIN, (0.5, 0.3, 0.05), 28.0),  # 0.1 at four fifths of 0.3 to 0.05
        (MIN, (0.5, 0.3, 0.1), 30.0),  # equality counts: crossed at the row
        (MAX, (0.2, 0.6, 1.0), 25.0),
        (MAX, (0.2, 0.4, 0.8), 30.0),
    ],
)
def test_the_bracket_and_the_crossing(
    rule: WorkloadRule, values: tuple[float, float, float], crossing: float
):
    rows = list(zip((10.0, 20.0, 30.0), values, strict=True))
    found = reach(rule, *rows)
    assert found is not None
    assert (found.trial, found.row, found.step) == (7, 2, 300)
    assert (found.time_s, found.value) == rows[2]
    assert found.below == EvalRow(1, *rows[1][:1], 200, rows[1][1])
    assert found.interpolated_s == pytest.approx(crossing, rel=1e-12)


def test_the_first_row_at_the_target_has_no_bracket():
    found = reach(MIN, (10.0, 0.05), (20.0, 0.01))
    assert found is not None
    assert (found.row, found.below, found.interpolated_s) == (0, None, None)


def test_the_crossing_is_in_the_bracket_also_after_a_worse_evaluation():
    found = reach(MIN, (10.0, 0.2), (20.0, 0.9), (30.0, 0.05))
    assert found is not None
    assert found.below is not None
    assert (found.below.time_s, found.below.value) == (20.0, 0.9)
    done = (0.9 - 0.1) / (0.9 - 0.05)
    assert found.interpolated_s == pytest.approx(20.0 + 10.0 * done, rel=1e-12)


def test_rows_of_a_dropped_stretch_are_no_bracket_after_a_resume():
    # The clock went back from 60 to 40: 50 and 60 lie after the row at 45.
    rows = [(40.0, 0.5), (50.0, 0.4), (60.0, 0.3), (40.0, 0.5), (45.0, 0.1)]
    found = reach(MIN, *rows)
    assert found is not None
    assert found.below == EvalRow(3, 40.0, 400, 0.5)
    assert found.interpolated_s == 45.0
    alone = reach(MIN, (60.0, 0.3), (45.0, 0.1))
    assert alone is not None
    assert (alone.below, alone.interpolated_s) == (None, None)


def test_the_row_before_the_resume_counts_once_it_was_written():
    # The dropped stretch had reached the target: its row comes first in the file.
    found = reach(MIN, (50.0, 0.05), (40.0, 0.5), (45.0, 0.05))
    assert found is not None
    assert (found.row, found.time_s) == (0, 50.0)


def test_a_repeated_row_leaves_bracket_and_time():
    rows = [(10.0, 0.5), (20.0, 0.3), (20.0, 0.3), (30.0, 0.05), (30.0, 0.05)]
    found = reach(MIN, *rows)
    assert found is not None
    assert (found.row, found.time_s) == (3, 30.0)
    assert found.below == EvalRow(2, 20.0, 200, 0.3)


def test_rows_that_do_not_count_are_no_bracket():
    rows = [(5.0, 0.3), (10.0, math.nan), (15.0, math.inf), (-1.0, 0.2), (20.0, 0.1)]
    found = reach(MIN, *rows)
    assert found is not None
    assert found.below == EvalRow(0, 5.0, 50, 0.3)
    late = reach(MIN, (90.0, 0.5), (101.0, 0.2), (99.0, 0.1))
    assert late is not None
    assert late.below == EvalRow(0, 90.0, 900, 0.5)


@pytest.mark.parametrize("budget_s", [30.0, math.nextafter(30.0, 0.0)])
def test_the_whole_budget_may_be_used(budget_s: float):
    found = reach(MIN, (10.0, 0.5), (30.0, 0.1), budget_s=budget_s)
    assert (found is not None) == (budget_s == 30.0)


def brute_first(rows: EvalRows, target: float, goal: Goal) -> EvalRow | None:
    for row in rows:
        if row.value <= target if goal == "min" else row.value >= target:
            return row
    return None


@pytest.mark.parametrize("goal", ["min", "max"])
def test_the_first_row_at_any_target_is_among_the_best_so_far(goal: Goal):
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.integers(0, 8, size=rng.integers(0, 12)) / 8
        rows = record(list(enumerate(values.tolist(), start=1))).rows
        best = best_so_far(rows, goal)
        for target in np.arange(-1, 18) / 16:
            assert first_at(best, target, goal) == brute_first(rows, target, goal)


def test_best_so_far_is_what_beats_everything_before():
    rows = record([(1.0, 0.5), (2.0, 0.5), (3.0, 0.7), (4.0, 0.4), (5.0, 0.7)]).rows
    assert [row.row for row in best_so_far(rows, "min")] == [0, 3]
    assert [row.row for row in best_so_far(rows, "max")] == [0, 2]
    assert best_so_far(NO_ROWS, "max") == NO_ROWS


class TestEvalRows:
    ROWS = (EvalRow(0, 1.5, 10, 0.5), EvalRow(2, 3.0, None, math.nan))

    def test_columns_give_back_the_rows(self):
        rows = EvalRows.of(self.ROWS)
        assert len(rows) == 2
        first, second = rows
        assert first == self.ROWS[0]
        assert second[:3] == self.ROWS[1][:3]
        assert math.isnan(second.value)
        assert rows[-1].row == 2
        assert isinstance(first.step, int)
        with pytest.raises(IndexError):
            rows[2]

    def test_slices_and_masks(self):
        rows = EvalRows.of(self.ROWS)
        assert rows[1:] == EvalRows.of(self.ROWS[1:])
        assert rows[::-1] == EvalRows.of(self.ROWS[::-1])
        assert rows.keep(np.array([True, False])) == EvalRows.of(self.ROWS[:1])
        assert rows[:0] == NO_ROWS

    def test_equal_if_every_column_is(self):
        rows = EvalRows.of(self.ROWS)
        assert rows == EvalRows.of(self.ROWS)
        for column, other in zip(EvalRow._fields, (1, 2.0, 11, 0.6), strict=True):
            first = self.ROWS[0]._replace(**{column: other})
            assert rows != EvalRows.of((first, self.ROWS[1]))
        assert rows != self.ROWS
        assert rows != rows[:1]
