"""What isolation is made of, without running trials."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from algoperf import confine
from algoperf.allowed import environment, grants
from algoperf.folder_watch import changed_files, finished_files, unknown_files
from algoperf.own_code import own_code
from algoperf.stop_request import StopRequest
from algoperf.trial_process import Witnessed, run_witnessed


def test_the_environment_is_a_list_of_what_is_allowed(tmp_path):
    given = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_ALL": "C",
        "XLA_FLAGS": "x",
        "AWS_SECRET": "s",
        "WANDB_API_KEY": "k",
        "PYTHONPATH": "here",
    }
    kept = environment(given, tmp_path)
    assert kept["HOME"] == str(tmp_path)
    assert kept["TMPDIR"] == str(tmp_path / "tmp")
    assert {"PATH", "LC_ALL", "XLA_FLAGS"} <= kept.keys()
    assert not {"AWS_SECRET", "WANDB_API_KEY"} & kept.keys()
    assert str(Path("here").absolute()) in kept["PYTHONPATH"].split(os.pathsep)
    assert environment(given, tmp_path, trackers=True)["WANDB_API_KEY"] == "k"


def test_charts_need_the_network_a_login_and_a_store_that_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".netrc").touch()
    given = {"HOME": str(tmp_path), "https_proxy": "p", "SSL_CERT_FILE": "c", "A": "b"}
    plain = environment(given, tmp_path / "scratch")
    assert not {"https_proxy", "SSL_CERT_FILE", "NETRC", "A"} & plain.keys()
    kept = environment(given, tmp_path / "scratch", trackers=True)
    assert kept["https_proxy"] == "p"
    assert kept["SSL_CERT_FILE"] == "c"
    assert kept["NETRC"] == str(tmp_path / ".netrc")
    assert "A" not in kept
    for uri, wanted in {
        None: f"file://{tmp_path}/mlruns",
        "runs": f"file://{tmp_path}/runs",
        "sqlite:///a.db": f"sqlite:///{tmp_path}/a.db",
        "sqlite:////x/a.db": "sqlite:////x/a.db",
        "http://host:5000": "http://host:5000",
    }.items():
        named = given | ({"MLFLOW_TRACKING_URI": uri} if uri else {})
        kept = environment(named, tmp_path / "scratch", trackers=True)
        assert kept["MLFLOW_TRACKING_URI"] == wanted


def test_what_lies_around_the_experiments_may_be_read_and_they_may_not(tmp_path):
    sealed = tmp_path / "a/experiments"
    for folder in ("a/experiments/x", "a/other", "b"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a/link").symlink_to(sealed / "x")
    found = grants([tmp_path], [tmp_path / "b"], sealed)
    own = {p for p in found["read"] if p.startswith(str(tmp_path))}
    assert own == {str(tmp_path / "a/other"), str(tmp_path / "b")}
    assert str(tmp_path) in found["list"]
    assert str(tmp_path / "b") in found["write"]


def test_a_submission_within_the_experiments_may_be_read(tmp_path):
    sealed, own = tmp_path, tmp_path / "mine"
    own.mkdir()
    assert str(own) in grants([own], [], sealed)["read"]


def test_only_files_of_finished_trials_may_not_change(tmp_path):
    for number, outcome in ((1, "reached"), (2, None), (3, None)):
        folder = tmp_path / f"trial_{number}"
        folder.mkdir()
        (folder / "trial.json").write_text(json.dumps({"outcome": outcome}))
    before = finished_files(tmp_path / "trial_3")
    assert changed_files(before) == []
    for number in (1, 2, 3):
        (tmp_path / f"trial_{number}/weights").write_text("")
        (tmp_path / f"trial_{number}/.lock").write_text("")
    assert changed_files(before) == [tmp_path / "trial_1/weights"]
    assert unknown_files(tmp_path / "trial_3") == [tmp_path / "trial_3/weights"]


def test_the_record_of_a_trial_may_change_until_its_watcher_has_written(tmp_path):
    folder = tmp_path / "trial_1"
    folder.mkdir()
    record, other = folder / "trial.json", folder / "measurements.csv"

    def write(watched):
        environments = [{}, {"isolation": {"mode": "process", "watched": watched}}]
        content = {"outcome": "reached", "environments": environments}
        record.write_text(json.dumps(content))

    write(False)
    before = finished_files(tmp_path / "trial_2")
    write(True)
    assert changed_files(before) == []
    other.write_text("new")
    assert changed_files(before) == [other]
    before = finished_files(tmp_path / "trial_2")
    write("otherwise")
    assert changed_files(before) == [record]


@pytest.mark.parametrize("odd", [None, [], [[]], [{"isolation": []}], 3])
def test_a_record_that_is_not_the_harnesss_is_watched_as_it_is(tmp_path, odd):
    (tmp_path / "trial_1").mkdir()
    record = tmp_path / "trial_1/trial.json"
    record.write_text(json.dumps({"outcome": "failed", "environments": odd}))
    before = finished_files(tmp_path / "trial_2")
    record.write_text(json.dumps({"outcome": "reached", "environments": odd}))
    assert changed_files(before) == [record]


def test_a_submissions_code_is_what_lies_in_its_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    own = own_code(tmp_path / "mine/submission.py")
    assert own(str(tmp_path / "mine/inner/helper.py"))
    assert not own("<string>")
    assert not own(str(tmp_path / "other.py"))
    around = own_code(Path(sys.prefix).parent / "submission.py")
    assert around(str(Path(sys.prefix).parent / "helper.py"))
    assert not around(str(Path(sys.prefix) / "lib/module.py"))


@pytest.mark.parametrize(
    ("witnessed_s", "accounted_s", "differs"),
    [
        (10.0, 9.5, False),
        (10.0, 8.0, True),
        (10.0, 12.0, True),
        (1000.0, 985.0, False),
        (10.0, float("nan"), True),
        (None, None, False),
    ],
)
def test_a_clock_that_lies_is_told_from_one_that_is_late(
    witnessed_s, accounted_s, differs
):
    assert Witnessed(0, True, witnessed_s, accounted_s, ()).differs is differs


def test_the_witness_times_what_the_trial_tells():
    reading, writing = os.pipe()
    code = (
        f"import os, time; w = lambda text: os.write({writing}, text); "
        "w(b'running\\n'); time.sleep(0.5); w(b'stopped 0.1\\nrunning\\n'); "
        "w(b'stopped 7\\n')"
    )
    line = [sys.executable, "-I", "-S", "-c", code]
    seen = run_witnessed(line, os.environ, (reading, writing), StopRequest())
    assert (seen.code, seen.trained, seen.left) == (0, True, ())
    assert seen.accounted_s == 0.1
    assert seen.witnessed_s == pytest.approx(0.5, abs=0.4)


def test_a_system_that_cannot_confine_says_what_to_do(tmp_path):
    (tmp_path / "grants.json").write_text("{}")
    code = (
        "import runpy, ctypes, sys; "
        "CDLL = ctypes.CDLL; "
        "ctypes.CDLL = lambda *a, **k: type('L', (), {'unshare': lambda s, f: -1})(); "
        f"sys.argv = ['', {str(tmp_path / 'grants.json')!r}, 'true']; "
        f"runpy.run_path({confine.__file__!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("algoperf: --isolate=strict: this system allows no")
    assert "sysctl user.max_user_namespaces" in done.stderr
    assert "Or give --isolate=process" in done.stderr
