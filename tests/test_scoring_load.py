"""Reading log trees: the layout, and everything that real logs contain besides."""

from pathlib import Path

import pytest
from score_trees import write_trial

from algoperf.facts import UserError
from scoring.health import HealthNote, by_kind, harmful
from scoring.load import Logs, load_logs, only_ruleset
from scoring.rules import Rules, WorkloadRule

RULES = Rules(
    name="test",
    workloads=(
        WorkloadRule("digits", "digits", "accuracy", "max", 0.9, 100.0),
        WorkloadRule("words", "words", "accuracy", "max", 0.5, 100.0),
    ),
    studies=1,
    trials_external=1,
)
TRIAL = "adam/study_0/digits_jax/trial_1"


def kinds(logs: Logs) -> set[tuple[str, str]]:
    return set(by_kind(logs.notes))


def points(logs: Logs, trial: int = 0) -> list[tuple[float, float]]:
    return [(row.time_s, row.value) for row in logs.trials[trial].rows]


def test_a_clean_tree_has_no_notes(tmp_path: Path):
    write_trial(tmp_path / TRIAL)
    (tmp_path / "adam/study_0/digits_jax.json").write_text("{}")  # the runner's plan
    (tmp_path / "adam/study_0/digits_jax_01-02-2026.log").write_text("")
    (tmp_path / "adam/study_0/digits_jax/trial_1/.lock").write_text("")
    (tmp_path / "old_scores").mkdir()
    (tmp_path / "old_scores/scores.json").write_text("{}")
    logs = load_logs(tmp_path, RULES)
    assert logs.notes == ()
    assert logs.rulesets == {"adam": "external"}
    (trial,) = logs.trials
    assert (trial.study, trial.workload, trial.framework) == (0, "digits", "jax")
    assert (trial.trial, trial.ruleset, trial.outcome) == (1, "external", "reached")
    assert points(logs) == [(10.0, 0.5), (20.0, 0.95)]
    assert [row.step for row in trial.rows] == [0, 100]


LOST = "counted as not reached"
GOOD = [(10.0, 0.5), (20.0, 0.95)]


def test_missing_files(tmp_path: Path):
    folder = tmp_path / TRIAL
    folder.mkdir(parents=True)
    (folder / "measurements.csv").write_text("")
    (folder.parent / "trial_2").mkdir()
    (folder.parent / "trial_3/eval_measurements.csv").mkdir(parents=True)
    logs = load_logs(tmp_path, RULES)
    assert [len(trial.rows) for trial in logs.trials] == [0, 0, 0]
    assert kinds(logs) == {
        (LOST, "no eval_measurements.csv"),
        (LOST, "eval_measurements.csv cannot be read"),
        ("nothing", "no metadata (trial.json, meta_data_0.json)"),
    }
    details = {note.detail for note in logs.notes if note.what.startswith("no eval")}
    assert details == {"measurements.csv is there", ""}


def test_folders_that_do_not_belong(tmp_path: Path):
    write_trial(tmp_path / TRIAL)
    for extra in (
        "adam/study_0/trial_1",  # a duplicate one level too high
        "adam/study_0/digits_jax/trial_1_old",
        "adam/study_0/digits_jax/trial_01",
        "adam/study_0/digits",
        "adam/study_0/diggits_jax/trial_1",
        "adam/study_0/wmt_glu_tanh_jax/trial_1",  # a variant that is not declared
        "adam/plots",
        "empty",
    ):
        (tmp_path / extra).mkdir(parents=True)
    for stray in ("README", "adam/.DS_Store", "adam/study_0/x", f"{TRIAL}/../y.txt"):
        (tmp_path / stray).write_text("")
    logs = load_logs(tmp_path, RULES)
    assert len(logs.trials) == 1
    assert logs.rulesets == {"adam": "external"}
    found = {(note.where, note.what, note.effect) for note in logs.notes}
    study, ignored = "adam/study_0", "folder ignored"
    assert found == {
        (f"{study}/trial_1", "trial folder outside of a workload folder", ignored),
        (f"{study}/digits_jax/trial_1_old", "not a trial folder", ignored),
        (f"{study}/digits_jax/trial_01", "not a trial folder", ignored),
        (
            f"{study}/digits",
            "workload folder without _jax or _pytorch in its name",
            ignored,
        ),
        (f"{study}/diggits_jax", "unknown workload", ignored),
        (
            f"{study}/wmt_glu_tanh_jax",
            "workload that these rules do not score",
            "nothing",
        ),
        ("adam/plots", "not a study folder", ignored),
        ("empty", "no study folder in it: not ranked", ignored),
        ("README", "stray file", "nothing"),
        ("adam/.DS_Store", "stray file", "nothing"),
        (f"{study}/x", "stray file", "nothing"),
        (f"{study}/digits_jax/y.txt", "stray file", "nothing"),
    }
    (typo,) = [note for note in logs.notes if note.what == "unknown workload"]
    assert typo.detail == "did you mean digits?"


def test_names_with_brackets_and_spaces(tmp_path: Path):
    write_trial(tmp_path / "my [best] run*/study_0/digits_pytorch/trial_7")
    logs = load_logs(tmp_path, RULES)
    (trial,) = logs.trials
    assert (trial.submission, trial.trial) == ("my [best] run*", 7)
    assert not logs.notes


def test_numbers_sort_as_numbers(tmp_path: Path):
    for number in (10, 9, 2):
        write_trial(tmp_path / f"adam/study_{number}/digits_jax/trial_{number}")
    logs = load_logs(tmp_path, RULES)
    assert [trial.study for trial in logs.trials] == [2, 9, 10]


@pytest.mark.parametrize(
    ("frameworks", "chosen"),
    [(("jax", "pytorch"), "jax"), (("jax", "pytorch", "pytorch"), "pytorch")],
)
def test_one_framework_counts(tmp_path: Path, frameworks: tuple[str, ...], chosen: str):
    for study, framework in enumerate(frameworks):
        write_trial(tmp_path / f"adam/study_{study}/digits_{framework}/trial_1")
    write_trial(tmp_path / "adam/study_0/words_jax/trial_1")
    logs = load_logs(tmp_path, RULES)
    digits = {t.framework for t in logs.trials if t.workload == "digits"}
    assert digits == {chosen}
    assert sum(t.workload == "words" for t in logs.trials) == 1
    what = f"digits in both frameworks: {chosen} counts"
    assert kinds(logs) == {("folder ignored", what)}


def test_rulesets(tmp_path: Path):
    write_trial(tmp_path / "ext/study_0/digits_jax/trial_1")
    write_trial(tmp_path / "own/study_0/digits_jax/trial_1", ruleset="self")
    write_trial(tmp_path / "none/study_0/digits_jax/trial_1", ruleset=None)
    write_trial(tmp_path / "both/study_0/digits_jax/trial_1", ruleset="self")
    write_trial(tmp_path / "both/study_0/digits_jax/trial_2", ruleset="external")
    logs = load_logs(tmp_path, RULES, default_ruleset="self")
    assert logs.rulesets == {
        "both": "external",
        "ext": "external",
        "none": "self",
        "own": "self",
    }
    what = "trials of both rulesets: ranked with the external budget"
    assert ("ruleset assumed", what) in kinds(logs)
    alone = only_ruleset(logs, "self")
    assert set(alone.rulesets) == {"none", "own"}
    assert {trial.submission for trial in alone.trials} == {"none", "own"}
    assert not any(note.where.startswith("both") for note in alone.notes)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"tuning_ruleset": "x"}'])
def test_a_damaged_trial_json(tmp_path: Path, text: str):
    (write_trial(tmp_path / TRIAL) / "trial.json").write_text(text)
    logs = load_logs(tmp_path, RULES)
    assert points(logs) == GOOD
    assert kinds(logs) == {("ruleset assumed", "trial.json that cannot be used")}


def test_some_submissions_only(tmp_path: Path):
    write_trial(tmp_path / TRIAL)
    write_trial(tmp_path / "sgd/study_0/digits_jax/trial_1")
    logs = load_logs(tmp_path, RULES, submissions=["sgd"])
    assert set(logs.rulesets) == {"sgd"}
    with pytest.raises(UserError) as error:
        load_logs(tmp_path, RULES, submissions=["adm"])
    assert str(error.value) == (
        f"{tmp_path} has no submission 'adm'; did you mean adam? All: adam, sgd."
    )


def test_errors_say_which_folder_is_meant(tmp_path: Path):
    write_trial(tmp_path / "runs" / TRIAL)
    for name, what in (("nowhere", "does not exist"), ("file", "is a file, not")):
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError) as error:
            load_logs(tmp_path / name, RULES)
        assert str(error.value).startswith(f"{tmp_path / name} {what}")
        assert "--submission_directory is the folder that" in str(error.value)
    with pytest.raises(UserError) as error:
        load_logs(tmp_path, RULES)
    assert f"but these do: {tmp_path / 'runs'}. Use one of them." in str(error.value)
    with pytest.raises(UserError) as error:
        load_logs(tmp_path / "runs/adam", RULES)
    assert "is itself a submission" in str(error.value)
    assert str(error.value).endswith(
        f"use --submission_directory={tmp_path / 'runs'} --submissions=adam."
    )
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"found: no folders at all. Expected: "):
        load_logs(tmp_path / "bare", RULES)


def test_notes_are_ordered_by_effect_then_name():
    nothing = HealthNote("b", "stray file", "nothing")
    lost = HealthNote("a", "study missing", "counted as not reached", "3 of 5")
    groups = by_kind([nothing, lost, nothing])
    assert list(groups) == [(LOST, "study missing"), ("nothing", "stray file")]
    assert harmful([nothing, lost]) == (lost,)
    assert str(lost) == "a: study missing (3 of 5); effect: counted as not reached"
