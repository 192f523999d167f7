"""First row at the target, fastest trial of a study, median over planned studies."""

import math
import random
from dataclasses import replace

import pytest

from scoring.health import HealthNote
from scoring.load import Logs, TrialRecord
from scoring.reach import Reach, find_reach, notes_about, rows_that_count
from scoring.rows import EvalRow, EvalRows
from scoring.rules import Rules, Ruleset, WorkloadRule
from scoring.runtimes import per_workload_runtimes, workload_result

WER = WorkloadRule("speech", "speech", "wer", "min", 0.1, 100.0)
RULES = Rules(name="test", workloads=(WER,), trials_external=2)
LOST = "counted as not reached"


def trial(*rows: tuple[float, float], study: int = 0, number: int = 1) -> TrialRecord:
    where = f"s/study_{study}/speech_jax/trial_{number}"
    evaluations = EvalRows.of(EvalRow(i, t, 10 * i, v) for i, (t, v) in enumerate(rows))
    return TrialRecord(
        "s", study, "speech", "jax", number, where, "external", None, evaluations
    )


def first_reach(
    *rows: tuple[float, float], budget_s: float = 100.0
) -> tuple[Reach | None, list[HealthNote]]:
    own = trial(*rows)
    reach = find_reach(own.trial, WER, rows_that_count(own.rows, budget_s))
    return reach, notes_about(own, WER, budget_s, reach)


def reach_time(*rows: tuple[float, float]) -> float | None:
    reach, _ = first_reach(*rows)
    return None if reach is None else reach.time_s


def kinds(notes) -> set[tuple[str, str]]:
    return {(note.effect, note.what) for note in notes}


def test_first_row_counts_and_later_ones_do_not():
    reach, notes = first_reach((1.0, 0.9), (2.0, 0.1), (3.0, 0.5), (4.0, 0.05))
    assert reach is not None
    assert (reach.row, reach.step, reach.time_s, reach.value) == (1, 10, 2.0, 0.1)
    assert kinds(notes) == {
        ("nothing", "trained on after the target"),
        ("nothing", "fell back after the target"),
    }


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1.0, 0.1)], 1.0),  # equality counts
        ([(1.0, math.nextafter(0.1, 1.0))], None),
        ([(1.0, math.nan), (2.0, 0.05)], 2.0),
        ([(1.0, -math.inf), (2.0, 0.05)], 2.0),
        ([(100.0, 0.05)], 100.0),  # the whole budget may be used
        ([(100.5, 0.05)], None),
        ([(0.0, 0.05), (-1.0, 0.05), (3.0, 0.05)], 3.0),
        ([(50.0, 0.05), (20.0, 0.05)], 50.0),  # file order, also after a resume
        ([], None),
    ],
)
def test_which_rows_count(rows: list[tuple[float, float]], expected: float | None):
    assert reach_time(*rows) == expected


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([(1.0, math.nan)], (LOST, "NaN in validation/wer")),
        ([(0.0, 0.05)], ("row ignored", "time <= 0")),
        ([(0.0, 0.9)], ("nothing", "time <= 0")),
        ([(200.0, 0.05)], (LOST, "rows beyond the budget")),
        ([(200.0, 0.9)], ("nothing", "rows beyond the budget")),
    ],
)
def test_rows_that_do_not_count_are_noted(rows, kind: tuple[str, str]):
    _, notes = first_reach(*rows)
    assert kinds(notes) == {kind}


def result(*trials: TrialRecord, rules: Rules = RULES, ruleset: Ruleset = "external"):
    return workload_result("s", list(trials), WER, rules, ruleset)


def test_fastest_time_wins_not_the_smallest_row():
    early_row = trial((50.0, 0.05), number=1)
    early_time = trial((1.0, 0.9), (2.0, 0.9), (3.0, 0.05), number=2)
    found, _ = result(early_row, early_time, rules=replace(RULES, studies=1))
    (study,) = found.studies
    assert study.fastest is not None
    assert (study.fastest.trial, study.fastest.row, found.time_s) == (2, 2, 3.0)
    assert found.step == 20.0


def test_median_over_the_planned_studies():
    trials = [trial((t, 0.05), study=s) for s, t in enumerate((30.0, 10.0, 20.0))]
    assert result(*trials)[0].time_s == 20.0
    assert result(*trials[:2], rules=replace(RULES, studies=2))[0].time_s == 20.0
    assert result(*trials[:2])[0].time_s == 30.0  # the third is infinite
    assert result(trials[0])[0].time_s == math.inf
    even = replace(RULES, studies=2)
    assert result(trials[0], rules=even)[0].time_s == math.inf


def test_missing_studies_and_trials_are_noted():
    found, notes = result(trial((1.0, 0.05), study=1))
    assert [study.trials for study in found.studies] == [0, 1, 0]
    assert sorted((n.where, n.what, n.effect) for n in notes) == [
        ("s/study_0/speech", "study missing", LOST),
        ("s/study_1/speech_jax", "fewer trials than planned", LOST),
        ("s/study_2/speech", "study missing", LOST),
    ]
    nothing, notes = result()
    assert (nothing.time_s, nothing.step, nothing.framework) == (
        math.inf,
        math.inf,
        None,
    )
    assert kinds(notes) == {(LOST, "no logs of this workload")}


def test_more_than_planned_does_not_count():
    trials = [trial((t, 0.05), number=n) for n, t in ((7, 1.0), (5, 9.0), (6, 8.0))]
    extra = trial((2.0, 0.05), study=3)
    found, notes = result(*trials, extra, rules=replace(RULES, studies=1))
    assert found.time_s == 8.0
    assert kinds(notes) == {
        ("folder ignored", "more trials than the 2 planned"),
        ("folder ignored", "study not planned"),
    }


def test_self_tuning_has_one_trial_and_its_own_budget():
    trials = [trial((140.0, 0.05), number=1), trial((1.0, 0.05), number=2)]
    one_study = replace(RULES, studies=1)
    assert result(*trials, rules=one_study, ruleset="self")[0].time_s == 140.0
    assert result(*trials, rules=one_study)[0].time_s == 1.0


def test_steps_that_cannot_be_read():
    rows = EvalRows.of([EvalRow(0, 5.0, None, 0.05)])
    found, _ = result(replace(trial(), rows=rows), rules=replace(RULES, studies=1))
    assert found.time_s == 5.0
    assert math.isnan(found.step)


def test_order_of_the_trials_changes_nothing():
    rng = random.Random(0)
    trials = [
        trial((rng.uniform(1, 99), rng.uniform(0, 0.2)), study=s, number=n)
        for s in range(3)
        for n in range(1, 4)
    ]
    expected = result(*trials)
    rng.shuffle(trials)
    assert result(*trials) == expected
    logs = Logs(tuple(trials), {"s": "external"}, frozenset({"speech"}), ())
    table = per_workload_runtimes(logs, RULES).table(["s"], ["speech"])
    assert table["s", "speech"] == expected[0].time_s
