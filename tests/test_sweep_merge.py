"""`algoperf merge`: all of several folders, or a refusal before the first copy."""

import json
import shutil
from pathlib import Path

import pytest
from sweep_folders import write_trial

from algoperf import records
from algoperf.cli.merge_command import main
from algoperf.facts import UserError
from algoperf.sweep import merge as module
from algoperf.sweep.merge import digest
from algoperf.sweep.record import FILE, FOLDER, expected_tasks
from algoperf.sweep.scan import find_trials


@pytest.fixture
def folders(tmp_path, monkeypatch) -> tuple[Path, Path, Path]:
    monkeypatch.chdir(tmp_path)
    return Path("a"), Path("b"), Path("c")


def merge(*sources: Path, into: Path) -> int:
    return main([*map(str, sources), f"--into={into}"])


def everything(root: Path) -> dict[str, str]:
    return digest(root) if root.exists() else {}


def test_trials_of_two_machines_are_joined(folders, capsys):
    a, b, c = folders
    checkpoint = write_trial(a, 1) / "checkpoints" / "10"
    checkpoint.mkdir(parents=True)
    (checkpoint / "data").write_bytes(bytes(range(256)))
    (a / "adam/study_0/digits_jax/trial_1.log").write_text("said")
    (a / "adam/study_0/digits_jax/trial_1/.lock").write_text("")
    write_trial(b, 3, "failed")
    write_trial(b, 1, study=1)
    write_trial(b, 1, submission="sgd")
    assert merge(a, b, into=c) == 0
    assert "4 trials copied" in capsys.readouterr().out
    assert len(list(find_trials(c))) == 4
    copied = everything(c)
    for root in (a, b):
        for name, value in everything(root).items():
            if name != "adam/study_0/digits_jax.json":
                assert copied[name] == value, name
    # The longer list of the study's trials.
    plan = records.read_json(c / "adam/study_0/digits_jax.json")
    assert [trial["trial"] for trial in plan["trials"]] == [1, 2, 3]
    assert not list(c.rglob(".lock"))
    assert not list(c.rglob(".merge_*"))


def test_without_a_place_all_goes_into_the_first(folders):
    a, b, _ = folders
    write_trial(a, 1)
    write_trial(b, 1, study=1)
    assert main([str(a), str(b)]) == 0
    assert len(list(find_trials(a))) == 2
    assert len(list(find_trials(b))) == 1


def test_a_merge_again_copies_what_is_new_and_touches_nothing_else(folders, capsys):
    a, b, c = folders
    write_trial(a, 1)
    merge(a, into=c)
    kept = (c / "adam/study_0/digits_jax/trial_1/trial.json").stat().st_mtime_ns
    write_trial(a, 2)
    write_trial(b, 1)
    capsys.readouterr()
    assert merge(a, b, into=c) == 0
    assert "1 trials copied" in capsys.readouterr().out
    kept_now = (c / "adam/study_0/digits_jax/trial_1/trial.json").stat().st_mtime_ns
    assert kept_now == kept


def conflict(folders, *patterns: str) -> None:
    """Asserts that a merge is refused for these reasons, and nothing is written."""
    a, b, c = folders
    before = everything(c)
    with pytest.raises(UserError) as caught:
        merge(a, b, into=c)
    message = str(caught.value)
    assert "nothing was copied" in message
    for pattern in patterns:
        assert pattern in message, message
    assert everything(c) == before


def test_two_contents_of_a_trial_are_refused(folders):
    a, b, _ = folders
    write_trial(a, 1, steps=100)
    write_trial(b, 1, steps=101)
    (b / "adam/study_0/digits_jax/trial_1/more").write_text("")
    conflict(folders, "adam digits study 0 trial 1: ", "differ in more, trial.json")


def test_another_content_in_the_target_is_refused(folders):
    a, b, c = folders
    write_trial(a, 1)
    write_trial(b, 2)
    write_trial(c, 1, "diverged")
    conflict(folders, "differ in trial.json")


def test_another_seed_of_a_study_is_refused(folders):
    a, b, _ = folders
    write_trial(a, 1, seed=7)
    write_trial(b, 2, seed=8)
    conflict(folders, "b/adam/study_0/digits_jax.json: seed 8, elsewhere 7")


def test_other_points_of_a_study_are_refused(folders):
    a, b, _ = folders
    write_trial(a, 1)
    write_trial(b, 2)
    file = b / "adam/study_0/digits_jax.json"
    plan = json.loads(file.read_text())
    plan["trials"][0]["seed"] = 99
    file.write_text(json.dumps(plan))
    conflict(folders, "other points or seeds than elsewhere")


def test_another_code_of_a_submission_is_refused(folders):
    a, b, _ = folders
    write_trial(a, 1, submission_source="1234")
    write_trial(b, 1, study=1, submission_source="5678")
    conflict(folders, "other settings: submission_source")


def test_a_trial_that_runs_is_refused(folders):
    a, b, _ = folders
    (write_trial(a, 1, None) / records.LOCK).write_text(records.holder())
    write_trial(b, 2)
    conflict(folders, "a process runs it")


def test_plans_of_sweeps_are_joined(folders):
    a, b, c = folders
    for root, name in ((a, "adam"), (b, "sgd")):
        write_trial(root, 1, submission=name)
        planned = {"submissions": [{"name": name, "trials": 2}],
                   "workloads": ["digits"], "studies": [0]}  # fmt: skip
        (root / FOLDER).mkdir()
        records.write_json(root / FOLDER / FILE, {"seed": 3, "plans": [planned]})
    merge(a, b, into=c)
    assert len(list(expected_tasks(c))) == 4
    assert records.read_json(c / FOLDER / FILE)["seed"] == 3


def test_a_merge_that_was_killed_leaves_whole_trials_and_goes_on(folders, monkeypatch):
    a, _, c = folders
    write_trial(a, 1)
    write_trial(a, 2)
    copy, copies = shutil.copytree, []

    def die_at_the_second(source, target, **options):
        copies.append(source)
        if len(copies) == 2:
            Path(target).mkdir()
            raise OSError(28, "No space left on device")
        return copy(source, target, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module.shutil, "copytree", die_at_the_second)
        with pytest.raises(UserError, match="No space left on device"):
            merge(a, into=c)
    (whole,) = find_trials(c)
    assert digest(Path(whole[1])) == digest(a / "adam/study_0/digits_jax/trial_1")
    assert merge(a, into=c) == 0
    assert len(list(find_trials(c))) == 2


def test_a_copy_that_differs_is_reported(folders, monkeypatch):
    a, _, c = folders
    write_trial(a, 1)
    copy = shutil.copytree

    def flip(source, target, **options):
        copy(source, target, **options)
        (target / records.EVALS).write_text("global_step\n2\n")

    monkeypatch.setattr(module.shutil, "copytree", flip)
    with pytest.raises(UserError, match=r"not equal to .*eval_measurements\.csv"):
        merge(a, into=c)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a"], "algoperf merge A B --into=C`, or `algoperf merge A B`, which goes"),
        (["--into=c"], "algoperf merge A B --into=C"),
        (["gone", "--into=c"], "there is no folder .*gone"),
        (["empty", "--into=c"], r"empty has no trials \(SUBMISSION"),
    ],
)
def test_folders_that_are_none_are_refused(folders, given, message):
    Path("empty").mkdir()
    write_trial(folders[0], 1)
    with pytest.raises(UserError, match=message):
        main(given)
