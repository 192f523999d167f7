"""The compilation cache: hits, what they save and cost, and processes side by side."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from conftest import environment
from fakes import PLAIN_SUBMISSION, FakeTime, Quiet

from algoperf.clock import Clock, Seconds
from algoperf.compile_cache import compile_cache
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import plan_study
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.loading import load

SAVED = "/jax/compilation_cache/compile_time_saved_sec"
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(autouse=True)
def forget_compiled():
    yield
    jax.clear_caches()


def compiled_slowly(factor: float) -> jax.Array:
    """A result whose program takes more than half a second to compile."""

    def unrolled(x):
        for i in range(60):
            x = jnp.sort(jnp.sin(x @ x + factor * i), axis=i % 2)
        return x.sum()

    return jax.jit(unrolled)(jnp.ones((8, 8)))


def test_what_was_compiled_is_found_again_and_counted(tmp_path):
    results = []
    for hits in (0, 1):
        jax.clear_caches()
        with compile_cache(tmp_path / "cache") as use:
            results.append(compiled_slowly(2.0).block_until_ready())
        assert use.hits == hits
        assert use.misses >= 1 - hits
    assert results[0] == results[1]
    (entry,) = (tmp_path / "cache").iterdir()
    assert "unrolled" in entry.name


def test_the_configuration_is_as_before(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    with compile_cache(tmp_path):
        assert jax.config.jax_compilation_cache_dir != before
    assert jax.config.jax_compilation_cache_dir == before
    # Nothing is compiled in it: on a busy machine that may take long enough to be kept.
    with compile_cache(None) as use:
        pass
    assert use.as_dict() == {
        "folder": before,
        "hits": 0,
        "misses": 0,
        "saved_s": 0.0,
        "problem": None,
    }


def test_a_cache_that_cannot_be_written_is_said_and_does_without(
    tmp_path, capsys, monkeypatch
):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with compile_cache(tmp_path / "cache") as use:
        compiled_slowly(5.0)
        monkeypatch.setattr(tempfile, "mkstemp", full)
    assert use.problem == "[Errno 28] No space left on device"
    assert f"compilation cache {tmp_path}/cache: [Errno 28]" in capsys.readouterr().err
    (tmp_path / "file").touch()
    with compile_cache(tmp_path / "file" / "cache") as use:
        compiled_slowly(5.0)
    assert "Not a directory" in use.problem


def test_a_damaged_entry_is_compiled_again(tmp_path):
    with compile_cache(tmp_path):
        expected = compiled_slowly(3.0)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:100])
    jax.clear_caches()
    with (
        compile_cache(tmp_path) as use,
        pytest.warns(UserWarning, match="Error reading persistent compilation cache"),
    ):
        found = compiled_slowly(3.0)
    assert use.hits == 0
    assert found == expected


PROCESS = """
import sys, time, jax
from pathlib import Path
from algoperf.compile_cache import compile_cache
sys.path.insert(0, {tests!r})
from test_compile_cache import compiled_slowly
with compile_cache(Path({folder!r})) as use:
    print(compiled_slowly(5.0), flush=True)
    {then}
print(use.hits)
"""


def start(folder: Path, then: str = "pass") -> subprocess.Popen:
    tests = str(Path(__file__).parent)
    code = PROCESS.format(tests=tests, folder=str(folder), then=then)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_processes_share_it_and_one_that_is_killed_leaves_nothing(tmp_path):
    with start(tmp_path, then="time.sleep(60)") as killed:
        killed.stdout.readline()  # compiled, and not ended
        killed.kill()
    assert list(tmp_path.iterdir()) == []
    together = [start(tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].split() for process in together]
    assert [process.returncode for process in together] == [0, 0]
    (entry,) = tmp_path.iterdir()  # both compiled the same program
    whole = entry.read_bytes()
    value, hits = start(tmp_path).communicate(timeout=120)[0].split()
    assert hits == "1"
    assert outputs == [[value, "0"], [value, "0"]]
    assert entry.read_bytes() == whole


def events(clock: Clock, now: FakeTime) -> Seconds:
    """3 s of work, 2 s of reading a program that once took 10 s to compile."""
    with clock.running():
        now.passes(3.0)
        now.passes(2.0)
        jax.monitoring.record_event_duration_secs(SAVED, 8.0)
        jax.monitoring.record_event_duration_secs(COMPILED, 2.0)
        with clock.paused(wait_for=None):
            # An evaluation's programs are nobody's.
            now.passes(4.0)
            jax.monitoring.record_event_duration_secs(SAVED, 8.0)
            jax.monitoring.record_event_duration_secs(COMPILED, 2.0)
    return clock.read()


def test_charged_compiling_costs_the_same_with_a_cache_and_without():
    now = FakeTime()
    seconds = events(Clock(now=now, wait=lambda tree: None), now)
    assert seconds.submission == 3.0 + 2.0 + 8.0
    assert seconds.cache_saved == 8.0
    assert seconds.compile == 2.0
    assert seconds.total == 3.0 + 2.0 + 4.0  # what really passed
    assert seconds.with_compile == 13.0
    assert seconds.without_compile == 3.0


def test_uncharged_compiling_is_on_no_account():
    now = FakeTime()
    free = Seconds(charge_compile=False)
    clock = Clock(free, now=now, wait=lambda tree: None)
    seconds = events(clock, now)
    assert seconds.submission == clock.submission_s() == 3.0
    assert seconds.total == 9.0
    assert seconds.with_compile == 13.0
    assert seconds.without_compile == 3.0


def test_a_cache_that_saves_nothing_costs_nothing():
    now = FakeTime()
    clock = Clock(now=now, wait=lambda tree: None)
    with clock.running():
        jax.monitoring.record_event_duration_secs(SAVED, -0.5)
    assert clock.read() == Seconds()


def run(algoperf, *flags: str) -> None:
    done = algoperf(
        "run",
        "--workload=digits",
        "--submission_path=nadamw",
        "--rng_seed=0",
        "--max_global_steps=20",
        *flags,
    )
    assert done.returncode == 0, done.stderr


def record(folder: Path, name: str) -> dict:
    file = folder / "experiments" / name / "study_0/digits_jax/trial_1/trial.json"
    return json.loads(file.read_text())


def test_trials_use_the_cache_and_say_so(algoperf, tmp_path):
    cached = "--compilation_cache_dir=auto"
    for name in ("first", "second"):
        run(algoperf, f"--experiment_name={name}", cached)
    run(algoperf, "--experiment_name=free", cached, "--nocharge_compile")
    first, second, free = (record(tmp_path, n) for n in ("first", "second", "free"))
    uses = [r["environments"][0]["compilation_cache"] for r in (first, second, free)]
    assert [use["hits"] > 0 for use in uses] == [False, True, True]
    assert uses[0]["folder"] == str(tmp_path / "experiments" / ".compilation_cache")
    for r in (first, second, free):
        seconds = r["seconds"]
        saved = seconds["compile"] + seconds["cache_saved"]
        assert seconds["with_compile"] == pytest.approx(
            seconds["without_compile"] + saved
        )
    assert first["seconds"]["submission"] == first["seconds"]["with_compile"]
    assert free["seconds"]["submission"] == free["seconds"]["without_compile"]
    assert free["settings"]["charge_compile"] is False
    assert free["best"] == first["best"] == second["best"]
    # Not a submission, so scoring does not mention it.
    done = algoperf("score", "--submission_directory=experiments", "--studies=1")
    assert "compilation" not in done.stdout
    # One of three plays by another rule, and its folder says so.
    assert "time counted as written" in done.stdout
    assert "compiling was not charged (--nocharge_compile)" in done.stdout


def test_another_charging_rule_is_another_trial(tmp_path):
    (tmp_path / "submission.py").write_text(PLAIN_SUBMISSION)
    workload = load("digits")
    (plan,) = plan_study(tmp_path / "logs", workload.facts, 0, [None], seed=0)

    def run_with(**changes) -> None:
        options = RunOptions("self", Limits(60.0, max_steps=1), **changes)
        run = TrialRun(plan, workload, tmp_path, options, Quiet())
        run.run(StopRequest())

    run_with(save_checkpoints=False)
    message = r"charge_compile \(--charge_compile\): None there, False now"
    with pytest.raises(UserError, match=message):
        run_with(charge_compile=False)
