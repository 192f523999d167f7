"""Trials in processes of their own: what they leave, what they reach, how they end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import command, environment
from fakes import PLAIN_SUBMISSION

from algoperf import audit, folder_watch
from algoperf.cli.isolated import LEFT
from algoperf.cli.main import main
from algoperf.watch import PROCESS, THREAD

STUDY = Path("experiments/mine/study_0/digits_jax")
RUN = (
    "run",
    "--workload=digits",
    "--submission_path=mine",
    "--probe=off",
    "--max_global_steps=4",
    "--eval_every_steps=2",
)
ATTACK = """
import os, pathlib, subprocess, tempfile, socket
here = pathlib.Path(__file__).parent
study = here.parent / "experiments/mine/study_0/digits_jax"

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    attack(hyperparameters.number)
    return None
"""
# What a trial leaves on the disk for the next one, reads of it, and starts.
SNEAKS = """
def attack(number):
    caches = [pathlib.Path("weights"), pathlib.Path.home() / ".cache/weights",
              pathlib.Path(tempfile.gettempdir()) / "weights"]
    for cache in caches:
        if cache.exists():
            raise RuntimeError("a cache of an earlier trial")
        cache.parent.mkdir(exist_ok=True)
        cache.write_text("1")
    (here / "weights").write_text("1")
    if number == 2:
        (study / "trial_1/trial.json").read_text()
        (study / "trial_2/weights").write_text("1")
        os.system(f"echo 1 > {study}/trial_1/weights")
        from workloads.loading import load
        load("digits")
        subprocess.Popen(["sleep", "97"], start_new_session=True)
"""
# What it tries, and the name of the error that it gets.
TRIES = """
def attack(number):
    import jax
    # However fast this machine compiles, there is something for the harness's cache.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    def connect(): socket.create_connection(("192.0.2.1", 80), timeout=5)
    tries = {
        "sibling": lambda: (study / "trial_9/trial.json").read_text(),
        "sibling_c": lambda: subprocess.run(
            ["cat", study / "trial_9/trial.json"], check=True),
        "experiment": lambda: (study / "weights").write_text("1"),
        "submission": lambda: (here / "weights").write_text("1"),
        "shared": lambda: pathlib.Path("/dev/shm/weights").write_text("1"),
        "network": connect,
        "parent": lambda: os.kill(os.getppid(), 0),
        "secret": lambda: os.environ["MY_SECRET"],
        "own": lambda: (here / "submission.py").read_text(),
        "scratch": lambda: pathlib.Path("weights").write_text("1"),
    }
    for name, act in tries.items():
        try:
            act()
            print("tried", name, "went through", flush=True)
        except Exception as error:
            print("tried", name, type(error).__name__, flush=True)
"""
HONEST = "def attack(number): pass"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes a submission whose init_optimizer_state runs the attack of its trial."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_SECRET", "1")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")

    def write(attack: str) -> None:
        Path("mine").mkdir(exist_ok=True)
        text = PLAIN_SUBMISSION + ATTACK + attack
        Path("mine/submission.py").write_text(text)
        space = [{"number": 1}, {"number": 2}]
        Path("mine/tuning_search_space.json").write_text(json.dumps(space))

    return write


def record_of(number: int):
    return json.loads((STUDY / f"trial_{number}/trial.json").read_text())


def named(record, what):
    return [f["detail"] for f in record["findings"] if f["what"] == what]


def test_trials_find_nothing_of_each_other_and_what_they_try_is_named(mine):
    mine(SNEAKS)
    assert main([*RUN, "--isolate=process", "--num_tuning_trials=2"]) == 0
    first, second = record_of(1), record_of(2)
    weights = str(Path("mine/weights").absolute())
    assert named(first, audit.WROTE) == [weights]
    assert named(first, audit.OPENED) == []
    assert {Path(d).name for d in named(second, audit.OPENED)} == {
        "trial.json",
        "weights",
    }
    assert named(second, folder_watch.UNKNOWN) == ["weights"]
    assert [Path(d).name for d in named(second, folder_watch.CHANGED)] == ["weights"]
    assert named(second, audit.LOADED) == ["digits"]
    assert "sleep" in named(second, audit.STARTED)
    assert named(second, PROCESS) == ["sleep"]
    assert named(second, LEFT) == ["sleep"]
    running = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"])]
    assert ["sleep", "97"] not in running
    for record in (first, second):
        assert record["outcome"] == "out of steps"
        seen = record["environments"][0]["isolation"]
        assert (seen["mode"], seen["watched"]) == ("process", True)
        assert seen["witnessed_s"] == pytest.approx(seen["accounted_s"], abs=1)
        assert seen["accounted_s"] == pytest.approx(record["seconds"]["total"], abs=0.1)


HIDES = """
def attack(number):
    import threading, workloads.digits
    here = pathlib.Path(__file__).parent
    pathlib.Path("/dev/null").write_text("1")
    pathlib.Path("/dev/shm/algoperf_test_weights").write_text("1")
    (here / "__pycache__").mkdir(exist_ok=True)
    (here / "__pycache__/weights.npy").write_text("1")
    (pathlib.Path(workloads.digits.__file__).parent / "digits.npz").read_bytes()
    made = {}
    exec("import time, pathlib\\ndef train():\\n"
         "  pathlib.Path('/dev/shm/algoperf_test_more').write_text('1')\\n"
         "  while True: time.sleep(0.01)\\n", made)
    threading.Thread(target=made["train"], name="made", daemon=True).start()
"""


def test_weights_that_hide_and_code_that_has_no_file_are_named(mine):
    mine(HIDES)
    try:
        assert main([*RUN, "--isolate=process"]) == 0
    finally:
        for name in ("weights", "more"):
            Path(f"/dev/shm/algoperf_test_{name}").unlink(missing_ok=True)
    record = record_of(1)
    assert set(named(record, audit.WROTE)) == {
        "/dev/shm/algoperf_test_weights",
        "/dev/shm/algoperf_test_more",
        str(Path("mine/__pycache__").absolute()),
        str(Path("mine/__pycache__/weights.npy").absolute()),
    }
    (opened,) = named(record, audit.OPENED)
    assert opened.endswith("workloads/digits/digits.npz")
    assert named(record, THREAD) == ["made"]


def strict_works(tmp_path: Path) -> bool:
    file = tmp_path / "grants.json"
    file.write_text(json.dumps({"read": ["/"], "list": [], "write": ["/dev/null"]}))
    from algoperf import confine

    line = [sys.executable, "-I", "-S", confine.__file__, str(file), "true"]
    return subprocess.run(line, capture_output=True).returncode == 0


def test_strict_refuses_other_trials_the_network_and_the_disk(mine, tmp_path, capfd):
    if not strict_works(tmp_path):
        pytest.skip("needs Linux 6.2 with Landlock and user namespaces")
    mine(TRIES)
    other = STUDY / "trial_9/trial.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    assert main([*RUN, "--isolate=strict", "--compilation_cache_dir=auto"]) == 0
    tried = dict(
        line.removeprefix("tried ").split(" ", 1)
        for line in capfd.readouterr().out.splitlines()
        if line.startswith("tried ")
    )
    assert tried == {
        "sibling": "PermissionError",
        "sibling_c": "CalledProcessError",
        "experiment": "PermissionError",
        "submission": "PermissionError",
        "shared": "PermissionError",
        "network": "OSError",
        "parent": "PermissionError",
        "secret": "KeyError",
        "own": "went through",
        "scratch": "went through",
    }
    record = record_of(1)
    assert record["environments"][0]["isolation"]["mode"] == "strict"
    cache = Path("experiments/.compilation_cache").absolute()
    assert any(cache.iterdir())
    opened = named(record, audit.OPENED)
    assert not [path for path in opened if path.startswith(str(cache))]


def stopped_by(number: int, given: list[str], cwd: Path) -> tuple[int, str, str]:
    """A run that is stopped after an evaluation: (exit code, screen, errors)."""
    process = subprocess.Popen(
        command(given),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    screen = ""
    while " | step " not in screen and (line := process.stdout.readline()):
        screen += line
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    return process.returncode, screen + rest, errors


def test_an_interrupted_trial_is_saved_and_goes_on(mine, tmp_path):
    mine(HONEST)
    given = [*RUN, "--isolate=process", "--max_global_steps=1000000"]
    code, _, errors = stopped_by(signal.SIGINT, given, tmp_path)
    assert code == 130
    assert "stopped; the trial was saved; continue with this command" in errors
    assert f"algoperf {' '.join(given)}" in errors
    stopped = record_of(1)
    assert stopped["outcome"] is None
    assert stopped["environments"][0]["isolation"]["witnessed_s"] > 0
    code, screen, _ = stopped_by(signal.SIGTERM, given, tmp_path)
    assert code == 143
    assert f"resumed from step {stopped['steps']}" in screen
    assert len(record_of(1)["environments"]) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--isolate=process", "--distributed"),
            "--isolate=process with several processes a trial",
        ),
        (
            ("--isolate=strict", "--stop_when_beaten"),
            "--isolate=strict with --stop_when_beaten: a trial has to read its sib",
        ),
        (
            ("--isolate=strict", "--experiment_dir=mine"),
            "mine is the submission's folder and the one of all experiments",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(mine, capsys, flags, message):
    mine(HONEST)
    assert main([*RUN, *flags]) == 2
    assert message in capsys.readouterr().err
    assert not os.path.exists("experiments")


def test_a_submission_that_cannot_be_loaded_ends_the_run(mine, capfd):
    mine("def f(:")
    assert main([*RUN, "--isolate=process", "--num_tuning_trials=2"]) == 2
    assert capfd.readouterr().err.count("cannot be imported: invalid syntax") == 1
