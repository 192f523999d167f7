"""One trial in a process of its own, and this one as the witness of its time."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from algoperf.stop_request import StopRequest
from algoperf.sweep import child
from algoperf.witness import RUNNING, STOPPED

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_POLL_S = 0.1
# After a second Ctrl-C, before the trial is killed.
_PATIENCE_S = 5.0
# The trial's clock and the witness's may differ by this: messages take a while on a
# busy machine.
_TOLERANCE_S, _TOLERANCE = 1.0, 0.02


@dataclass(frozen=True)
class Witnessed:
    """How a trial's process ended, and how long its clock ran by our own.

    `accounted_s` is what it says itself. Both are None where it did not train, or did
    not end in good order. `left` names processes that outlived it, and were ended.
    """

    code: int
    trained: bool
    witnessed_s: float | None
    accounted_s: float | None
    left: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the trial accounts for another time than the one that passed."""
        if self.witnessed_s is None or self.accounted_s is None:
            return False
        allowed_s = max(_TOLERANCE_S, _TOLERANCE * self.witnessed_s)
        # Not `>`: NaN is no time either.
        return not abs(self.witnessed_s - self.accounted_s) <= allowed_s


class _Times:
    """Reads what the trial tells, and times it here."""

    def __init__(self) -> None:
        self.began_s: float | None = None
        self.witnessed_s: float | None = None
        self.accounted_s: float | None = None
        self._rest = b""

    def read(self, pipe: int, wait_s: float) -> None:
        if not select.select([pipe], [], [], wait_s)[0]:
            return
        data = os.read(pipe, 4096)
        if not data:  # nobody can tell us anything any more
            time.sleep(wait_s / 10)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._note(line.decode(errors="replace"))

    def _note(self, line: str) -> None:
        word, _, value = line.partition(" ")
        # Only the first of each counts: a trial has one clock.
        if word == RUNNING and self.began_s is None:
            self.began_s = time.monotonic()
        elif word == STOPPED and self.began_s is not None and self.witnessed_s is None:
            self.witnessed_s = time.monotonic() - self.began_s
            try:
                self.accounted_s = float(value)
            except ValueError:
                self.accounted_s = float("nan")


def run_witnessed(
    command: Sequence[str],
    environment: Mapping[str, str],
    pipe: tuple[int, int],
    stop: StopRequest,
) -> Witnessed:
    """Runs a command to its end; passes on that `stop` was asked for.

    Args:
      pipe: the end to read from, and the one that the command writes to.

    Raises:
      KeyboardInterrupt: a second signal; no process is left behind.
    """
    if sys.platform == "linux":
        # What the trial starts and leaves comes to us when it ends.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    before = _descendants()
    reading, writing = pipe
    process = subprocess.Popen(
        child.line(os.getpid(), (), list(command)),
        stdin=subprocess.DEVNULL,
        env=dict(environment),
        pass_fds=(writing,),
        # Ctrl-C on the terminal is ours: we ask the trial to stop.
        start_new_session=True,
    )
    os.close(writing)
    times, told = _Times(), False
    try:
        while process.poll() is None:
            times.read(reading, _POLL_S)
            if stop.signal_number is not None and not told:
                process.send_signal(signal.SIGTERM)
                told = True
    except BaseException:
        _end(process)
        raise
    finally:
        left = _end_left(before)
        times.read(reading, 0)
        os.close(reading)
    return Witnessed(
        process.returncode,
        times.began_s is not None,
        times.witnessed_s,
        times.accounted_s,
        left,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks once more, then does not ask."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _end_left(before: set[psutil.Process]) -> tuple[str, ...]:
    """Ends the processes that a trial has left; returns their names."""
    names: list[str] = []
    left = _descendants() - before
    for process in left:
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                names.append(process.name())
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=_PATIENCE_S)
    return tuple(sorted(names))
