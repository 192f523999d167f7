"""A process in which nothing happens any more ends, and its stacks are kept."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from algoperf.sweep.supervise import in_words
from algoperf.watchdog import EXIT_HUNG, Watchdog

BEGIN = """
import json, sys, time
from pathlib import Path
from algoperf import watchdog
watchdog._GRACE_S = 0.5
folder = Path(sys.argv[1])
def tell(hang):
    (folder / "told").write_text(json.dumps(hang))
def at(name):
    dog.at(name, 7)
dog = watchdog.Watchdog(0.3, folder / "hang.txt", tell)
def forever():
    time.sleep(60)
with dog.watching():
    at("a step")
"""
# `sum` of a range holds Python's lock, as native code may.
HOLD = "sys.setswitchinterval(600); sum(range(10**12))"


def run(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    code = BEGIN + "".join(f"    {line}\n" for line in lines)
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        timeout=50,
    )


def test_a_hang_is_told_and_ends_the_process(tmp_path):
    begin = time.monotonic()
    done = run(tmp_path, "at('a step')", "forever()")
    assert time.monotonic() - begin < 20
    assert done.returncode == EXIT_HUNG == 142
    assert "algoperf: hung: nothing for" in done.stderr
    assert "(--step_timeout=0.3) in a step after step 7" in done.stderr
    assert f"the stacks of all threads are in {tmp_path / 'hang.txt'}" in done.stderr
    assert "The same command line goes on" in done.stderr
    text = (tmp_path / "hang.txt").read_text()
    assert "in a step after step 7" in text
    assert "in forever" in text
    told = json.loads((tmp_path / "told").read_text())
    assert told["silent_s"] >= 0.3
    assert (told["doing"], told["step"]) == ("a step", 7)


def test_what_is_done_for_the_first_time_may_take_ten_times_as_long(tmp_path):
    assert run(tmp_path, "time.sleep(1)").returncode == 0
    assert not (tmp_path / "hang.txt").exists()
    assert run(tmp_path, "forever()").returncode == EXIT_HUNG


def test_what_gets_on_is_left_alone_and_so_is_what_comes_after(tmp_path):
    code = ["for _ in range(20): at('a step'); time.sleep(0.05)", "at('other')"]
    done = run(tmp_path, *code)
    assert (done.returncode, done.stderr) == (0, "")
    code = BEGIN + "    at('a step')\ntime.sleep(3)\nprint('over')"
    after = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert after.stdout == "over\n"
    assert not (tmp_path / "hang.txt").exists()


def test_native_code_that_keeps_pythons_lock_is_ended_by_the_system(tmp_path):
    done = run(tmp_path, "at('a step')", HOLD)
    assert done.returncode == -14
    assert in_words(done.returncode) == in_words(EXIT_HUNG)
    assert "hung" in in_words(EXIT_HUNG)
    assert 'File "<string>"' in (tmp_path / "hang.txt").read_text()


def test_a_hang_whose_telling_hangs_ends_too(tmp_path):
    done = run(
        tmp_path, "dog.tell = lambda hang: forever()", "at('a step')", "forever()"
    )
    assert done.returncode == -14
    assert "in forever" in (tmp_path / "hang.txt").read_text()


def test_hangs_of_one_trial_are_kept_one_after_the_other(tmp_path):
    for _ in range(2):
        run(tmp_path, "at('a step')", "forever()")
    assert (tmp_path / "hang.txt").read_text().count("--- ") == 2


@pytest.mark.parametrize("timeout_s", [0, 0.0])
def test_it_is_off_without_a_time(tmp_path, timeout_s):
    with Watchdog(timeout_s, tmp_path / "hang.txt").watching():
        assert list(tmp_path.iterdir()) == []
