"""SLURM: what is submitted, what signals do, and a real cluster of one node."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slurm_cluster
from conftest import command
from test_resume import rows_without_times

import scoring
from algoperf import records
from algoperf.cli import sweep_command
from algoperf.facts import UserError
from algoperf.sweep import slurm
from algoperf.sweep.scan import find_trials, read_state
from algoperf.sweep.slurm import SlurmOptions, in_queue, submit, time_limit_min
from algoperf.sweep.tasks import Submission, Sweep

HERE = Path(__file__).parent


@pytest.fixture
def sweep(tmp_path) -> Sweep:
    return Sweep(
        experiment_dir=tmp_path / "exp",
        submissions=(Submission("adam", "adam.py", "external", 3),),
        workloads=("digits", "mnist_mini"),
        studies=(0,),
        seed=0,
    )


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch) -> Path:
    """Commands that note their words in a file; squeue prints another file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"
    for name, code in {
        "sbatch": f"echo sbatch $* >> {calls}; echo 41$(wc -l < {calls})",
        "squeue": f"cat {tmp_path}/queue",
        "scontrol": f"echo scontrol $* >> {calls}",
    }.items():
        file = folder / name
        file.write_text(f"#!/bin/sh\n{code}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


def test_an_array_for_each_time_limit_and_a_task_for_each_index(sweep, fake_slurm):
    tasks = list(sweep.tasks())
    limits = {task: 30 if task.workload == "digits" else 90 for task in tasks}
    options = SlurmOptions(("--partition=fast lane",), array_limit=2, max_restarts=4)
    ids = submit(sweep, limits, options)
    assert ids == ["411", "412"]
    first, second = (
        Path(line.split()[-1])
        for line in (fake_slurm / "calls").read_text().splitlines()
    )
    text = first.read_text().splitlines()
    assert text[0] == "#!/bin/bash"
    assert {
        "#SBATCH --array=0-2%2",
        "#SBATCH --time=30",
        "#SBATCH --signal=B:USR1@180",
        "#SBATCH --requeue",
        "#SBATCH --partition=fast lane",
    } <= set(text)
    assert "#SBATCH --time=90" in second.read_text()
    words = shlex.split(text[-1])
    assert words[:4] == ["exec", sys.executable, "-m", "algoperf.sweep.array_task"]
    assert words[5:] == ["$SLURM_ARRAY_TASK_ID", "4"]
    listed = json.loads(Path(words[4]).read_text())
    assert [row["command"] for row in listed] == [sweep.command(t) for t in tasks[:3]]


def test_what_is_in_the_queue_is_known(sweep, fake_slurm):
    assert in_queue(sweep) == set()
    tasks = list(sweep.tasks())
    submit(sweep, dict.fromkeys(tasks, 30), SlurmOptions())
    (fake_slurm / "queue").write_text("411_0\n411_4\n7\n4110_1\n")
    assert in_queue(sweep) == {tasks[0], tasks[4]}


def test_arrays_are_no_longer_than_clusters_take(sweep, fake_slurm, monkeypatch):
    monkeypatch.setattr(slurm, "MOST_OF_AN_ARRAY", 4)
    assert len(submit(sweep, dict.fromkeys(sweep.tasks(), 30), SlurmOptions())) == 2


def test_minutes_of_a_job():
    assert time_limit_min(3600) == 90 + 15
    assert time_limit_min(61) == 2 + 15


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("partition=a",), "'partition=a'; they are written --name=value"),
        (("--array=3",), "--array=3 is set by the sweep"),
    ],
)
def test_options_that_are_the_sweeps_are_refused(sweep, words, message):
    with pytest.raises(UserError, match=message):
        submit(sweep, {}, SlurmOptions(words))


def test_without_slurm_the_list_is_recommended(sweep, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no `sbatch` here.*--executor=list"):
        submit(sweep, dict.fromkeys(sweep.tasks(), 1), SlurmOptions())


def test_what_sbatch_refuses_is_shown(sweep, fake_slurm):
    (fake_slurm / "bin/sbatch").write_text("#!/bin/sh\necho no partition >&2; exit 1\n")
    with pytest.raises(UserError, match=r"`sbatch .*` failed: no partition"):
        submit(sweep, dict.fromkeys(sweep.tasks(), 1), SlurmOptions())


def test_time_limits_are_those_of_a_preflight(fake_slurm, monkeypatch, capsys):
    monkeypatch.chdir(fake_slurm)
    rows = [
        {"workload": "digits", "trial_s_to_budget": 600.0},
        {"workload": "mnist_mini", "trial_s_to_budget": None},
    ]
    (fake_slurm / "a.json").write_text(json.dumps(rows))
    rows[0]["trial_s_to_budget"] = 1200.0
    (fake_slurm / "b.json").write_text(json.dumps(rows))
    line = ["sweep", "--submissions=nadamw", "--studies=3", "--executor=slurm"]
    assert (
        sweep_command.main(
            [*line[1:], "--workloads=digits", "--preflight_json=a.json,b.json"]
        )
        == 0
    )
    assert "they take 1.0 machine-hours at most" in capsys.readouterr().out
    (script,) = Path("experiments/.sweep/slurm").rglob("*.sh")
    assert f"--time={20 * 5 // 4 + 15}" in script.read_text()
    with pytest.raises(UserError, match=r"--preflight_json=no\.json cannot be read"):
        sweep_command.main(
            [*line[1:], "--workloads=digits", "--preflight_json=no.json"]
        )


# A job's process, with a trial that only counts.
TRIAL = """
import json, signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
def save(number, frame):
    record = {"outcome": None, "steps": int(sys.argv[2])}
    (folder / "trial.json").write_text(json.dumps(record))
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
(folder / "ready").write_text("")
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "steps", "requeued"),
    [
        (signal.SIGUSR1, 10, True),  # time is running out
        (signal.SIGUSR1, 0, False),  # it got nowhere: it never would
        (signal.SIGTERM, 10, False),  # preempted or cancelled: for SLURM to say
    ],
)
def test_a_signal_saves_the_trial_and_time_running_out_requeues(
    fake_slurm, number, steps, requeued
):
    folder = fake_slurm / "trial_1"
    task = {
        "command": [sys.executable, "-c", TRIAL, str(folder), str(steps)],
        "folder": str(folder),
        "log": str(fake_slurm / "trial_1.log"),
    }
    (fake_slurm / "tasks.json").write_text(json.dumps([{}, task]))
    job = subprocess.Popen(
        [sys.executable, "-m", "algoperf.sweep.array_task", fake_slurm / "tasks.json",
         "1", "0"],
        env=os.environ | {"SLURM_ARRAY_JOB_ID": "41", "SLURM_ARRAY_TASK_ID": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for((folder / "ready").exists)
    job.send_signal(number)
    job.communicate(timeout=30)
    assert job.returncode == 143
    assert read_state(folder).steps == steps
    calls = fake_slurm / "calls"
    said = calls.read_text() if calls.exists() else ""
    assert said == ("scontrol requeue 41_1\n" if requeued else "")


def wait_for(happened, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# A real cluster: minutes.

TIME_OUT, PREEMPTED, CRASHES = 3, 4, 2  # numbers of trials, by their points
GIVEN = (
    "sweep",
    "--workloads=digits",
    "--trials=12",
    "--seed=3",
    "--run_flags=--max_global_steps=100 --eval_every_steps=20 --max_runtime_factor=5",
)


@pytest.mark.slow
@pytest.mark.skipif(bool(slurm_cluster.why_not()), reason=slurm_cluster.why_not())
def test_twelve_tasks_on_a_cluster_end_as_on_this_machine(tmp_path):
    """One trial crashes, one is preempted, one runs out of time."""
    (tmp_path / "cluster").mkdir()
    here, there = tmp_path / "here", tmp_path / "there"
    lines = {}
    for home in (here, there):
        # One for each: it leaves marks beside itself.
        faulty = home.with_name(f"{home.name}_submissions") / "faulty"
        shutil.copytree(HERE / "submissions/faulty", faulty)
        own_flags = f"--submissions={faulty}", f"--experiment_dir={home}"
        lines[home] = command([*GIVEN, *own_flags])
    with slurm_cluster.cluster(tmp_path / "cluster") as own:
        own |= {"JAX_PLATFORMS": "cpu"}
        line = [*lines[there], "--executor=slurm", "--time_limit_min=2"]
        assert "12 trials submitted in 1 array(s)" in called(line, own)
        again = called(line, own)
        assert "0 trials submitted in 0 array(s); 12 were in the queue" in again
        (jobs,) = (there / ".sweep/slurm").glob("*/jobs.json")
        array = json.loads(jobs.read_text())["id"]
        preempted = records.trial_folder(there / "faulty", 0, "digits", PREEMPTED)
        wait_for(lambda: read_state(preempted).steps >= 20, 240)
        called(["scontrol", "requeue", f"{array}_{PREEMPTED - 1}"], own)
        wait_for(lambda: queue_without_delay(own) == "", 540)
    called([*lines[here], "--workers=2"], os.environ | {"JAX_PLATFORMS": "cpu"})
    on_cluster, on_machine = dict(find_trials(there)), dict(find_trials(here))
    assert on_cluster.keys() == on_machine.keys()
    assert len(on_cluster) == 12
    for task, folder in on_cluster.items():
        ours, theirs = read_state(on_machine[task]), read_state(folder)
        assert theirs.outcome == ours.outcome in ("reached", "out of steps"), task
        assert (theirs.steps, theirs.best) == (ours.steps, ours.best), task
        one, other = (
            rows_without_times(Path(path) / records.EVALS)
            for path in (on_machine[task], folder)
        )
        assert one == other, task
        interrupted = (CRASHES, PREEMPTED, TIME_OUT)
        record = records.read_json(Path(folder) / records.TRIAL)
        assert record["findings"] == [], task
        # A slow machine needs the time of more than two jobs for the slow trial.
        assert (record["preemption_count"] > 0) == (task.trial in interrupted), task
    scores = [
        scoring.score(root, scoring_rules()).scores["faulty"] for root in (here, there)
    ]
    assert scores[0] == scores[1]


def scoring_rules():
    from dataclasses import replace

    from scoring.rules import get_rules

    rules = get_rules("mini").only(["digits"])
    return replace(rules, studies=1, trials_external=12)


def called(line: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        line, env=environment, cwd=HERE.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def queue_without_delay(environment: dict[str, str]) -> str:
    """What is in the queue; what was put back has not to wait its two minutes."""
    queue = called(["squeue", "-h", "-r", "-o", "%i %r"], environment)
    for line in queue.splitlines():
        job, _, reason = line.partition(" ")
        if reason == "BeginTime":
            subprocess.run(
                ["scontrol", "update", f"jobid={job}", "starttime=now"],
                env=environment,
                capture_output=True,
            )
    time.sleep(1)
    return queue
