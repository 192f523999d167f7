"""`algoperf check --workload` and `run --dry_run`: what they say and refuse."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from fakes import PLAIN_SUBMISSION

from algoperf.cli.check_command import _expanded
from algoperf.cli.main import main
from algoperf.cli.preflight_report import total_lines

NEEDS_VALUES = "if jax.tree.leaves(current_param_container)[0].sum() > 1e9: exit()"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mine(folder, line: str = "pass", size: int = 64) -> str:
    """A plain submission whose update_params begins with a line; its path."""
    signature = "model_state, optimizer_state, **rest):\n"
    source = PLAIN_SUBMISSION.replace(signature, f"{signature}    {line}\n")
    source = "import jax\n" + source.replace("return 64", f"return {size}")
    (folder / "mine").mkdir()
    (folder / "mine" / "submission.py").write_text(source)
    return "mine"


def dry_run(path: str, *flags: str, workload: str = "digits") -> int:
    what = [f"--submission_path={path}", f"--workload={workload}"]
    return main(["run", *what, "--dry_run", *flags])


def test_a_dry_run_tells_what_a_run_costs_and_writes_nothing(folder, capsys):
    code = dry_run("adamw", "--num_tuning_trials=4", "--preflight_json=found.json")
    out = capsys.readouterr().out
    assert code == 0, out
    for part in (
        "ok  digits, batches of 64: compiles and runs (3 timed steps)",
        "memory of a device: training ",
        "s, measured",
        "to the step hint of 1,500",
        "to the budget of 1.0 min charged",
        "4 trials: ",
        "of checkpoints",
    ):
        assert part in out
    assert [path.name for path in folder.iterdir()] == ["found.json"]
    (found,) = json.loads((folder / "found.json").read_text())
    assert found["workload"] == "digits"
    assert found["trials"] == 4
    assert found["seconds_are"] == "measured"
    assert found["run"]["step_s"] == found["step_s"] > 0
    assert found["device_memory_bytes"] >= found["xla"]["state_bytes"]
    # Two checkpoints of each trial stay, and one more is being written.
    assert found["disk_bytes"] == 9 * found["xla"]["state_bytes"]
    # A mini workload ends at its step hint.
    assert found["trial_s_to_budget"] == found["trial_s_to_step_hint"]


def test_a_check_costs_a_whole_submission(folder, capsys):
    line = ["--workload=digits,mnist_mini", "--steps=0", "--preflight_json=found.json"]
    assert main(["check", "--submission_path=adamw", *line]) == 0
    out = capsys.readouterr().out
    assert "10 steps on digits" in out
    assert "abstract step" not in out
    assert "all: 30 trials on 2 workloads, 2 of them derived and not measured" in out
    found = json.loads((folder / "found.json").read_text())
    assert [row["trials"] for row in found] == [15, 15]  # 3 studies of 5 trials
    total = sum(row["disk_bytes"] for row in found)
    assert f"all: {total / 1e6:.1f} MB of checkpoints, " in out


@dataclass(frozen=True)
class OnlyDisk:
    """A cost of which no seconds are known."""

    disk_bytes: int
    to_hint: None = None
    to_budget: None = None


def test_each_workload_may_fit_on_the_disk_and_all_of_them_not():
    costs: Any = [OnlyDisk(3_000_000), OnlyDisk(4_000_000)]
    (said,) = total_lines(costs, 8_000_000)
    assert str(said).strip() == "all: 7.0 MB of checkpoints, 8.0 MB are free"
    _, bad = total_lines(costs, 6_000_000)
    assert bad.ok is False
    assert "all together needs 7.0 MB of disk for checkpoints, 6.0 MB are" in bad.what
    assert not list(total_lines(costs[:1], 0))


def test_a_self_tuning_submission_has_one_trial_a_study(folder, capsys):
    line = ["--workload=digits", "--steps=0", "--preflight_json=found.json"]
    assert main(["check", "nadamw", *line]) == 0
    (found,) = json.loads((folder / "found.json").read_text())
    assert found["trials"] == 3
    assert found["seconds_are"] == "derived"
    assert found["run"] is None
    assert "not run, derived from its operations" in capsys.readouterr().out


def test_words_for_many_workloads():
    assert _expanded("digits, mnist") == "digits,mnist"
    base, full = (_expanded(word).split(",") for word in ("base", "full"))
    assert {"imagenet_resnet", "imagenet_vit"} < set(base) < set(full)
    assert "imagenet_resnet_silu" in set(full) - set(base)
    assert set(_expanded("mini,full").split(",")) == set(_expanded("all").split(","))


def test_names_of_groups_and_of_workloads_mix(capsys):
    """Names are read before anything is compiled, so a wrong one is quick."""
    assert main(["check", "adamw", "--workload=mini,nothing", "--steps=0"]) == 2
    assert "no workload 'nothing'" in capsys.readouterr().err


def test_two_submissions_are_one_too_many(capsys):
    assert main(["check", "adamw", "--submission_path=nadamw"]) == 2
    assert "adamw and --submission_path=nadamw name two" in capsys.readouterr().err
    assert main(["check", "adamw", "nadamw"]) == 2
    assert "unexpected 'nadamw'" in capsys.readouterr().err


def test_memory_that_no_device_has_is_bad(folder, capsys):
    assert dry_run(mine(folder), "--device_memory_gb=0.0001", "--steps=0") == 1
    out = capsys.readouterr().out
    assert "BAD digits needs " in out
    assert "on a device that has 0.1 MB; use more devices, a smaller batch" in out


def test_a_step_that_does_not_fit_is_not_run(folder, capsys):
    line = "jax.debug.callback(lambda: print('was run'))"
    assert dry_run(mine(folder, line), "--device_memory_gb=0.0001") == 1
    out = capsys.readouterr().out
    assert "timed step" not in out
    assert "was run" not in out


def test_steps_that_take_too_long_are_not_run(folder, capsys):
    assert dry_run("nadamw", "--measure_s=0") == 0
    assert "not run, derived" in capsys.readouterr().out


def test_a_batch_that_does_not_divide_is_bad(folder, capsys):
    assert dry_run(mine(folder, size=63)) == 1
    out = capsys.readouterr().out
    assert (
        "BAD digits failed: ValueError: batch size 63 on digits does not divide" in out
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck (at submission.py:"),
        ("current_param_container = {}", "may not change the model"),
        ("jax.numpy.ones(3) + jax.numpy.ones(4)", "incompatible shapes"),
    ],
)
def test_a_step_that_cannot_be_traced_is_bad(folder, capsys, line, message):
    assert dry_run(mine(folder, line)) == 1
    out = capsys.readouterr().out
    assert "BAD digits failed: " in out
    assert message in out


def test_a_step_that_needs_values_is_measured_by_running_it(folder, capsys):
    assert dry_run(mine(folder, NEEDS_VALUES)) == 0
    out = capsys.readouterr().out
    assert "cannot be compiled ahead and runs (3 timed steps)" in out
    assert "the step is no single program (TracerBoolConversionError: " in out
    assert "s, measured" in out


def test_a_failure_only_while_running_is_bad(folder, capsys):
    line = f"{NEEDS_VALUES}\n    raise RuntimeError('only then')"
    assert dry_run(mine(folder, line)) == 1
    assert "BAD digits failed: RuntimeError: only then" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_bad(folder, capsys, monkeypatch):
    monkeypatch.setattr("algoperf.cli.preflight._free_bytes", lambda request: 1000)
    assert dry_run(mine(folder), "--steps=0") == 1
    out = capsys.readouterr().out
    assert "BAD digits needs " in out
    assert "of disk for checkpoints, 0.0 MB are free; give another" in out
    assert dry_run("mine", "--steps=0", "--nosave_checkpoints") == 0


def test_missing_data_stops_a_dry_run_and_a_check_takes_random_batches(folder, capsys):
    path = mine(folder)
    assert dry_run(path, workload="mnist") == 2
    assert "mnist needs --data_dir" in capsys.readouterr().err
    assert main(["check", path, "--workload=mnist", "--steps=1"]) == 0
    assert "ok  mnist, batches of 64: compiles and runs" in capsys.readouterr().out


@pytest.mark.slow
def test_a_full_workload_that_this_machine_cannot_hold_is_told_so(folder, capsys):
    assert dry_run("adamw", "--data=random", workload="imagenet_resnet") == 1
    out = capsys.readouterr().out
    assert "BAD imagenet_resnet needs " in out
    assert "not run, derived" in out
