"""Rules that do not fit the logs are reported, with those that fit better."""

from dataclasses import replace

import pytest
from score_trees import board_of, logs_of, one_trial_each, record, rules_for

from scoring.fit import better_rules, misfit
from scoring.load import Logs
from scoring.remarks import warnings
from scoring.rules import PUBLISHED, Rules, get_rules
from scoring.score_report import ScoreReport, score


def logs_for(rules: Rules, studies: int | None = None) -> Logs:
    """Logs with every workload and study of rules, and no rows."""
    return logs_of(
        record([], workload=rule.name, study=study)
        for rule in rules.needed
        for study in range(studies or rules.studies)
    )


@pytest.mark.parametrize("version", PUBLISHED)
def test_a_version_fits_its_own_logs(version: str):
    rules = get_rules(version)
    found = misfit(rules, logs_for(rules))
    assert (found.size, str(found)) == (0, "")
    assert better_rules(rules, logs_for(rules)) == ""


@pytest.mark.parametrize("asked", PUBLISHED)
@pytest.mark.parametrize("logged", PUBLISHED)
def test_logs_of_another_version_name_it(asked: str, logged: str):
    text = better_rules(get_rules(asked), logs_for(get_rules(logged)))
    if asked == logged:
        assert text == ""
    else:
        assert text.startswith(f"rules {asked} do not fit these logs (")
        assert text.endswith(f"; --rules={logged} fits")


def test_what_does_not_fit_is_said():
    v05, v06, a100 = (get_rules(name) for name in ("v0.5", "v0.6", "a100"))
    held_out = ", ".join(sorted(rule.name for rule in v05.held_out))
    assert str(misfit(v06, logs_for(v05))) == (
        f"5 studies found, 3 planned; not scored: {held_out}"
    )
    assert str(misfit(v05, logs_for(v06))) == (
        f"3 studies found, 5 planned; no logs of {held_out}"
    )
    assert str(misfit(a100, logs_for(v06))) == "no logs of finewebedu_lm"
    assert str(misfit(v06, logs_for(a100))) == "not scored: finewebedu_lm"


def test_better_is_not_perfect():
    # v0.6 of four studies: v0.5 lacks six held-out workloads, the 2026 rules one.
    text = better_rules(get_rules("v0.5"), logs_for(get_rules("v0.6"), studies=4))
    assert text.endswith("; --rules=v0.6 fits better (4 studies found, 3 planned)")
    assert better_rules(get_rules("v0.6"), logs_for(get_rules("v0.6"), 4)) == ""


def test_workloads_that_nobody_knows_are_no_misfit():
    rules = get_rules("v0.6")
    logs = logs_for(rules)
    logs = replace(logs, workloads_seen=logs.workloads_seen | {"own_workload"})
    assert misfit(rules, logs).size == 0


def test_an_optional_workload_is_no_misfit():
    *base, model = get_rules("a100").workloads
    rules = replace(get_rules("a100"), workloads=tuple(base), optional=(model,))
    assert misfit(rules, logs_for(get_rules("a100"))).size == 0


def test_rules_that_the_user_changed_are_wanted_as_they_are():
    logs = logs_for(get_rules("v0.5"))
    for rules in (
        replace(get_rules("v0.6"), studies=1),
        get_rules("v0.6").only(["wmt"]),
        replace(get_rules("v0.6"), name="own"),
        rules_for("wmt"),
    ):
        assert better_rules(rules, logs) == ""


def test_the_warning_is_among_the_remarks(tmp_path):
    times = {rule.name: [5.0] * 3 for rule in get_rules("v0.6").workloads}
    report = report_on(tmp_path, times, get_rules("a100"))
    assert warnings(report)[0].startswith("rules a100 do not fit these logs")
    assert any("no submission has logs of finewebedu_lm" in w for w in warnings(report))


def report_on(folder, times, rules: Rules) -> ScoreReport:
    board = board_of(one_trial_each({"x": times}), rules)
    for own in board.logs.trials:
        path = folder / own.where
        path.mkdir(parents=True)
        metric = next(r.column for r in rules.needed if r.name == own.workload)
        (path / "eval_measurements.csv").write_text(
            f"accumulated_submission_time,{metric}\n1,0.5\n2,0.5\n"
        )
    return score(folder, rules, resamples=10)
