"""The speed of machines: measured before a run, compared when trials are scored."""

import json
from dataclasses import replace

import pytest
from fakes import FakeTime
from score_trees import record, write_trial

from algoperf.hardware_probe import best_s, probe
from scoring.hardware import SLOWER, hardware_notes, rates_of
from scoring.remarks import warnings
from scoring.rules import get_rules
from scoring.score_report import score

RATES = {
    "matmul_flop_per_s": 1e12,
    "memory_bytes_per_s": 1e11,
    "host_decode_bytes_per_s": 1e8,
}


def test_the_best_repetition_counts_and_the_first_is_left_out():
    now = FakeTime()
    durations = iter([0.1, 5.0, 3.0, 4.0, 9.0, 1.0])
    # The first warms up; the fourth ends beyond the budget of ten seconds.
    assert best_s(lambda: now.passes(next(durations)), 10.0, now) == 3.0
    assert next(durations) == 9.0


def test_two_repetitions_are_made_whatever_the_budget():
    now = FakeTime()
    durations = iter([1.0, 7.0, 6.0, 5.0])
    assert best_s(lambda: now.passes(next(durations)), 0.0, now) == 6.0


def test_a_probe_measures_rates_that_a_machine_can_have():
    found = probe(0.1)
    assert 1e8 < found.matmul_flop_per_s < 1e16
    assert 1e7 < found.memory_bytes_per_s < 1e14
    assert 1e5 < found.host_decode_bytes_per_s < 1e11
    assert found.probe_s < 30
    assert found.as_dict().keys() == {*RATES, "probe_s"}


def test_a_run_says_how_fast_its_machine_is(algoperf, tmp_path):
    line = ("run", "--workload=digits", "--submission_path=nadamw")
    for probing in ("off", "quick"):
        line_of_one = (*line, "--max_global_steps=2", f"--probe={probing}")
        done = algoperf(*line_of_one, f"--experiment_name={probing}")
        assert done.returncode == 0, done.stderr
    trials = [
        tmp_path / f"experiments/{name}/study_0/digits_jax/trial_1/trial.json"
        for name in ("off", "quick")
    ]
    off, quick = (json.loads(path.read_text()) for path in trials)
    assert off["environments"][0]["hardware"] is None
    assert rates_of(off) == ()
    (rates,) = rates_of(quick)
    assert rates.keys() == RATES.keys()


def trial(study: int, *slower: float, workload: str = "a"):
    """A trial in processes on machines so many times as slow as `RATES`."""
    own = record([(1.0, 0.1)], study=study, workload=workload)
    hardware = tuple(
        {name: rate / factor for name, rate in RATES.items()} for factor in slower
    )
    return replace(own, hardware=hardware)


def test_machines_within_ten_percent_are_equal():
    assert hardware_notes([trial(0, 1.0), trial(1, 1.1), trial(2)]) == []


def test_a_slower_machine_is_noted_without_an_effect():
    (note,) = hardware_notes([trial(0, 1.0), trial(1, 1.25)])
    assert (note.where, note.what, note.effect) == (
        "s/study_1/a_jax/trial_1",
        SLOWER,
        "nothing",
    )
    assert note.detail == (
        "matrix products 80%, memory 80%, decoding on the host 80% of the fastest"
    )


def test_only_the_rate_that_differs_is_named():
    slow_host = replace(
        trial(1, 1.0), hardware=({**RATES, "host_decode_bytes_per_s": 5e7},)
    )
    (note,) = hardware_notes([trial(0, 1.0), slow_host])
    assert note.detail == "decoding on the host 50% of the fastest"


def test_of_a_resumed_trial_the_slowest_machine_counts():
    (note,) = hardware_notes([trial(0, 1.0), trial(1, 1.0, 2.0)])
    assert note.where.startswith("s/study_1")


def test_workloads_are_compared_on_their_own():
    assert hardware_notes([trial(0, 1.0), trial(0, 9.0, workload="b")]) == []


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        {"environments": 3},
        {"environments": [None, {"hardware": "fast"}, {}]},
        {"environments": [{"hardware": {"matmul_flop_per_s": float("nan")}}]},
        {"environments": [{"hardware": {"matmul_flop_per_s": 0}}]},
    ],
)
def test_records_without_rates_say_nothing(damaged):
    assert rates_of(damaged) == ()


def test_scores_of_unequal_machines_come_with_a_warning(tmp_path):
    for study, factor in enumerate((1.0, 1.0, 1.5)):
        folder = write_trial(tmp_path / f"adam/study_{study}/digits_jax/trial_1")
        rates = {name: rate / factor for name, rate in RATES.items()}
        facts = json.loads((folder / "trial.json").read_text())
        facts["environments"] = [{"hardware": rates}]
        (folder / "trial.json").write_text(json.dumps(facts))
    report = score(tmp_path, get_rules("mini").only(["digits"]))
    (text,) = [text for text in warnings(report) if "machine" in text]
    assert text.startswith(
        "1 of 3 trials ran on a machine that a probe found more than 10% slower than "
        "the fastest of the same workload (first: adam/study_2/digits_jax/trial_1, "
        "matrix products 67%"
    )
    assert [n.where for n in report.board.notes if n.what == SLOWER] == [
        "adam/study_2/digits_jax/trial_1"
    ]
