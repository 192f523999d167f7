"""A lock on a file: one process has it, and the others are told which one."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from algoperf import file_lock, records
from algoperf.facts import UserError
from algoperf.file_lock import FileLock, Held, read_holder

HOLD = """
import sys, time
from pathlib import Path
from algoperf.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["of the file description", "flock"])
def kind(request, monkeypatch):
    """With the locks of Linux, and with those of systems that do not have them."""
    if request.param == "flock":
        monkeypatch.delattr(fcntl, "F_OFD_SETLK", raising=False)


@pytest.mark.usefixtures("kind")
def test_one_at_a_time_also_within_a_process(tmp_path):
    path = tmp_path / records.LOCK
    with (
        closing(FileLock(path)),
        pytest.raises(Held, match=rf"process {os.getpid()} on .* since 20"),
    ):
        FileLock(path)
    FileLock(path).close()
    assert path.read_text() == ""


@pytest.mark.usefixtures("kind")
def test_reading_the_file_meanwhile_does_not_free_it(tmp_path):
    # What the record locks of POSIX would do.
    path = tmp_path / records.LOCK
    with closing(FileLock(path)):
        path.read_text()
        holder = read_holder(path)
        assert holder is not None
        assert holder.process == os.getpid()
        with pytest.raises(Held):
            FileLock(path)


def test_another_process_is_named_and_its_lock_ends_with_it(tmp_path):
    path = tmp_path / records.LOCK
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(Held, match=f"process {process.pid} on"):
        FileLock(path)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert read_holder(path) is not None  # out of date, and not in the way
    FileLock(path).close()


def test_who_has_it_is_not_always_known(tmp_path):
    path = tmp_path / records.LOCK
    with closing(FileLock(path)):
        path.write_text("")
        with pytest.raises(Held, match="another process"):
            FileLock(path)
    assert read_holder(tmp_path / "none") is None
    path.write_text("elsewhere 12")  # without the time
    assert str(read_holder(path)) == "process 12 on elsewhere"
    path.write_text("what is this")
    assert read_holder(path) is None


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def no_locks(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(file_lock, "_lock", no_locks)
    path = tmp_path / records.LOCK
    with pytest.raises(UserError, match=r"cannot be locked \(No locks.*NFS.*another"):
        FileLock(path)
