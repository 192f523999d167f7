"""The predictive stop: by hand, on curves of trials, and as a user sees it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import PLAIN_SUBMISSION
from score_trees import record

from algoperf.cli.main import main
from algoperf.early_stop import hopeless
from algoperf.limits import Limits
from algoperf.prediction import forecast, predicted_value
from algoperf.progress import Progress
from scoring.early_stops import notes_on_predictions
from workloads.catalog import CATALOG

DIGITS, LM = CATALOG["digits"], CATALOG["finewebedu_lm_mini"]


def curve(value, count: int, until: float) -> list[tuple[float, float]]:
    shares = [until * (i + 1) / count for i in range(count)]
    return [(share, value(share)) for share in shares]


def test_a_line_over_doublings_goes_on_twice_as_steeply():
    # 0.1 a doubling: 0.5 at a quarter of the budget, so two doublings are left.
    found = forecast(curve(lambda share: 0.7 + 0.1 * math.log2(share), 8, 0.25))
    assert found == pytest.approx(0.5 + 2 * 0.1 * 2)


def test_what_is_flat_or_gets_worse_stays_at_its_best():
    assert forecast(curve(lambda share: 0.6, 8, 0.5)) == 0.6
    assert forecast(curve(lambda share: 1 - share, 8, 0.8)) == pytest.approx(0.9)


@pytest.mark.parametrize(("count", "until"), [(7, 0.9), (8, 0.24), (0, 1.0)])
def test_it_is_too_early_to_say(count, until):
    assert forecast(curve(lambda share: share, count, until)) is None


def test_at_the_end_nothing_is_added():
    assert forecast(curve(lambda share: share, 10, 1.0)) == 1.0


def progress_of(facts, values, a_step_s: float = 1.0) -> Progress:
    """Evaluations a step apart."""
    results = tuple(
        (
            step,
            {
                f"validation/{facts.metric}": value,
                "accumulated_submission_time": step * a_step_s,
            },
        )
        for step, value in enumerate(values, 1)
    )
    return Progress(
        step=len(values),
        eval_results=results,
        last_eval_submission_s=len(values) * a_step_s,
    )


def test_metrics_that_fall_are_predicted_downwards():
    # 1,000 less a doubling: 2,000 at half of the budget, one doubling is left.
    values = [2000 - 1000 * math.log2(step / 16) for step in range(1, 17)]
    progress = progress_of(LM, values)
    assert predicted_value(LM, Limits(32.0), progress) == pytest.approx(0.0)
    assert hopeless(LM, Limits(32.0), progress) is None
    flat = progress_of(LM, [2000.0] * 16)
    deadline = hopeless(LM, Limits(32.0), flat)
    assert deadline.after_s == 16.0
    assert deadline.why == {
        "reason": "predicted",
        "value": 2000.0,
        "target": LM.validation_target,
    }


def test_the_budget_is_of_steps_or_seconds_whichever_is_nearer():
    values = [0.5] * 8
    assert predicted_value(DIGITS, Limits(1e9), progress_of(DIGITS, values)) is None
    for limits in (Limits(16.0), Limits(1e9, max_steps=16)):
        assert predicted_value(DIGITS, limits, progress_of(DIGITS, values)) == 0.5


def test_a_stopped_trial_is_named_under_health():
    early = {"reason": "predicted", "value": 0.5, "target": 0.9}
    stopped = replace(record([(1.0, 0.5)]), stopped_early=early)
    trials = [stopped, record([(1.0, 0.9)])]
    (note,) = notes_on_predictions(trials)
    assert note.what == ("stopped early because its learning curve promised too little")
    assert note.detail == "predicted 0.5 at the end of its budget"


def test_a_hopeless_trial_ends_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("lazy.py").write_text(PLAIN_SUBMISSION)
    line = ["run", "--workload=digits", "--submission_path=lazy.py", "--rng_seed=0",
            "--max_global_steps=400", "--eval_every_steps=20"]  # fmt: skip
    assert main([*line, "--stop_when_hopeless"]) == 0
    assert "stopped early" in capsys.readouterr().out
    trial = Path("experiments/lazy/study_0/digits_jax/trial_1/trial.json")
    found = json.loads(trial.read_text())
    assert found["outcome"] == "stopped early"
    assert found["stopped_early"]["reason"] == "predicted"
    assert found["stopped_early"]["value"] < found["stopped_early"]["target"]
    assert 140 <= found["steps"] <= 200
