"""Tasks on this machine: processes that die, fail, are stopped, and real trials."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import command, environment, last_line

from algoperf import records
from algoperf.facts import UserError
from algoperf.stop_request import StopRequest
from algoperf.sweep.local import Local
from algoperf.sweep.lock import only_one
from algoperf.sweep.pinning import Place, places, visible_gpus
from algoperf.sweep.scan import is_running
from algoperf.sweep.tasks import Sweep, Task

HERE = Path(__file__).parent
# What a process of a task does; `folder` is its trial's.
BEGIN = """
import json, os, signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
runs = len(list(folder.glob("run_*"))) + 1
(folder / f"run_{runs}").write_text(str(sorted(os.sched_getaffinity(0))))
def end(outcome):
    (folder / "trial.json").write_text(json.dumps({"outcome": outcome, "steps": runs}))
"""
CODE = {
    "good": "end('reached')",
    "crash once": "os.abort() if runs == 1 else end('reached')",
    "crash always": "os.kill(os.getpid(), signal.SIGKILL)",
    "preempted": "sys.exit(143) if runs == 1 else end('reached')",
    "refuse": "print('algoperf: no such flag', file=sys.stderr); sys.exit(2)",
    "raise": "raise RuntimeError('broken')",
    "fail": "end('failed'); sys.exit(2)",
    "wait": """
def saved(number, frame):
    (folder / "saved").write_text("")
    sys.exit(143)
signal.signal(signal.SIGTERM, saved)
(folder / "ready").write_text("")
time.sleep(60)
""",
    "deaf": """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(folder / "ready").write_text("")
time.sleep(60)
""",
}


class Scripted(Sweep):
    """A sweep whose workloads are names of CODE, which its tasks run."""

    def command(self, task: Task) -> list[str]:
        code = BEGIN + CODE[task.workload]
        return [sys.executable, "-c", code, str(self.folder(task))]


@dataclass
class Seen:
    """A view that notes what it is told, and may act on it."""

    ends: list[tuple[str, str | None, str]] = field(default_factory=list)
    most: int = 0
    now: int = 0
    act: object = None

    def started(self, task):
        self.now += 1
        self.most = max(self.most, self.now)

    def ended(self, task, state, problem):
        self.now -= 1
        self.ends.append((task.workload, state.outcome, problem))

    def tick(self):
        if self.act is not None:
            self.act()


def run(tmp_path, *names, workers=1, max_restarts=2, stop=None, act=None):
    """Runs a task for each name; returns the executor and what was shown."""
    sweep = Scripted(
        experiment_dir=tmp_path, submissions=(), workloads=names, studies=(0,), seed=0
    )
    view = Seen(act=act)
    own_places = [Place(number, ()) for number in range(workers)]
    local = Local(sweep, own_places, view, os.environ, max_restarts)
    tasks = [Task("s", name, 0, 1) for name in names]
    local.run(tasks, stop or StopRequest())
    return local, view


def folder(tmp_path: Path, name: str) -> Path:
    return records.trial_folder(tmp_path / "s", 0, name, 1)


def test_what_died_by_a_signal_is_started_again_and_what_ended_is_not(tmp_path):
    local, view = run(
        tmp_path, "good", "crash once", "crash always", "preempted", "refuse", "raise",
        "fail",
    )  # fmt: skip
    assert view.ends == [
        ("good", "reached", ""),
        ("crash once", "reached", ""),
        ("crash always", None, "ended by SIGKILL, 3 times"),
        ("preempted", "reached", ""),
        ("refuse", None, "no such flag"),
        ("raise", None, "RuntimeError: broken"),
        ("fail", "failed", ""),
    ]
    runs = {name: len(list(folder(tmp_path, name).glob("run_*"))) for name in CODE}
    assert runs["good"] == runs["refuse"] == runs["raise"] == runs["fail"] == 1
    assert runs["crash once"] == runs["preempted"] == 2
    assert runs["crash always"] == 3
    assert {task.workload for task in local.problems} == {
        "crash always", "refuse", "raise",
    }  # fmt: skip
    log = folder(tmp_path, "crash once").with_suffix(".log").read_text()
    assert "ended by SIGABRT; started again" in log
    assert (
        "RuntimeError: broken"
        in folder(tmp_path, "raise").with_suffix(".log").read_text()
    )


def test_no_more_run_at_a_time_than_there_are_places(tmp_path):
    _, view = run(tmp_path, "good", "fail", "crash once", "refuse", workers=2)
    assert view.most == 2
    assert len(view.ends) == 4


def test_a_stop_saves_what_runs_and_starts_nothing_new(tmp_path):
    stop = StopRequest()

    def when_ready():
        if (folder(tmp_path, "wait") / "ready").exists():
            stop.ask(signal.SIGINT)

    local, view = run(tmp_path, "wait", "good", stop=stop, act=when_ready)
    assert view.ends == [("wait", None, "")]
    assert (folder(tmp_path, "wait") / "saved").exists()
    assert local.problems == {}


def test_a_second_signal_leaves_no_process_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("algoperf.sweep.local._PATIENCE_S", 0.2)

    def when_ready():
        if (folder(tmp_path, "deaf") / "ready").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "deaf", act=when_ready)
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path) not in shown


def test_places_divide_the_cpus_and_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 4, 5, 6, 9})
    for number in range(4):
        (tmp_path / f"0000:0{number}").mkdir()
    on_cpu = places(2, 1, {"JAX_PLATFORMS": "cpu"}, tmp_path)
    assert [place.cpus for place in on_cpu] == [(3, 4), (5, 6, 9)]
    assert len(places(None, 1, {}, tmp_path / "none")) == 1
    assert [place.gpus for place in places(None, 2, {}, tmp_path)] == [
        ("0", "1"), ("2", "3"),
    ]  # fmt: skip
    given = {"CUDA_VISIBLE_DEVICES": "GPU-a, 7"}
    one, two = places(None, 1, given, tmp_path)
    assert two.environment(given)["CUDA_VISIBLE_DEVICES"] == "7"
    assert one.environment({"A": "b"}) == {"A": "b", "CUDA_VISIBLE_DEVICES": "GPU-a"}
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
    with pytest.raises(UserError, match=r"4 GPU.*At most 2 worker"):
        places(3, 2, {}, tmp_path)
    with pytest.raises(UserError, match=r"--workers=6: there are 5 CPU.*At most 5"):
        places(6, 1, {}, tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot pin here")
def test_a_process_keeps_to_the_cpus_of_its_place(tmp_path):
    cpu = min(os.sched_getaffinity(0))
    sweep = Scripted(
        experiment_dir=tmp_path,
        submissions=(),
        workloads=("good",),
        studies=(0,),
        seed=0,
    )
    local = Local(sweep, [Place(0, (cpu,))], Seen(), os.environ, 0)
    local.run([Task("s", "good", 0, 1)], StopRequest())
    assert (folder(tmp_path, "good") / "run_1").read_text() == str([cpu])


def test_one_sweep_at_a_time(tmp_path):
    (tmp_path / ".sweep").mkdir()
    with (
        only_one(tmp_path),
        pytest.raises(
            UserError, match=rf"another sweep runs .*process {os.getpid()} on"
        ),
        only_one(tmp_path),
    ):
        pass
    with only_one(tmp_path):
        pass


def test_who_runs_a_trial_is_read_from_its_lock(tmp_path):
    assert not is_running(tmp_path)
    lock = tmp_path / records.LOCK
    lock.write_text(records.holder())
    assert is_running(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    host = records.holder().split()[0]
    lock.write_text(f"{host} {ended.pid}")
    assert not is_running(tmp_path)
    lock.write_text("elsewhere 1")  # nothing is known of its processes
    assert is_running(tmp_path)
    lock.write_text("")
    assert not is_running(tmp_path)


# Real trials from here on.

FLAGS = (
    "sweep",
    f"--submissions={HERE / 'submissions/resumable'}",
    "--workloads=digits",
    "--seed=7",
)


def test_a_killed_sweep_ends_its_trial_and_goes_on(tmp_path):
    given = (*FLAGS, "--run_flags=--max_global_steps=240 --eval_every_steps=20")
    process = subprocess.Popen(
        command(given), cwd=tmp_path, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    trial = records.trial_folder(tmp_path / "experiments/resumable", 0, "digits", 1)
    wait_for(lambda: evaluations(trial) >= 3)
    assert is_running(trial)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    wait_for(lambda: not is_running(trial))
    stopped = records.read_json(trial / "trial.json")
    assert stopped["outcome"] is None
    assert stopped["steps"] > 20  # the trial was told to save

    process = subprocess.Popen(
        command(given), cwd=tmp_path, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(lambda: evaluations(trial) >= 6)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; the trials that ran were saved" in errors
    again = last_line(errors).split()
    assert again[:2] == ["algoperf", "sweep"]

    done = subprocess.run(
        command(given), cwd=tmp_path, env=environment(), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 trials done" in last_line(done.stdout)
    record = records.read_json(trial / "trial.json")
    assert (record["outcome"], record["steps"]) == ("out of steps", 240)
    assert record["preemption_count"] == 2


def evaluations(trial: Path) -> int:
    file = trial / records.EVALS
    return file.read_text().count("\n") - 1 if file.exists() else 0


def wait_for(happened) -> None:
    deadline = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
