"""Ends a process that does not get on: first the stacks of its threads, then the end.

A thread of Python looks every now and then. It cannot where native code hangs that
does not let go of Python's lock; for this it keeps a thread of `faulthandler` and an
alarm of the system armed, which need no lock: the first writes the stacks, the second
ends the process. Either way the exit code says that SIGALRM ended it.
"""

import contextlib
import datetime
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

EXIT_HUNG = 128 + signal.SIGALRM
FILE = "hang.txt"  # in the trial folder
# What is done for the first time is also compiled.
FIRST_FACTOR = 10
# For the stacks and a line in `trial.json`; the file system is perhaps what hangs.
_GRACE_S = 5.0


def _nobody(hang: dict[str, Any]) -> None:
    del hang


@dataclass
class Watchdog:
    """Watches that something is done every `timeout_s` seconds; 0 watches nothing.

    `tell` gets what is known of a hang, as plain JSON values, before the process ends.
    """

    timeout_s: float = 0.0
    file: Path = Path(FILE)
    tell: Callable[[dict[str, Any]], None] = _nobody
    _doing: str = field(init=False, default="")
    _step: int = field(init=False, default=0)
    _since: float = field(init=False, default=0.0)
    _allowed_s: float = field(init=False, default=0.0)
    _known: set[str] = field(init=False, default_factory=set)
    _over: threading.Event = field(init=False, default_factory=threading.Event)

    def at(self, doing: str, step: int) -> None:
        """Notes that the trial gets on, and what comes next; on the clock, so quick."""
        first = doing not in self._known
        self._known.add(doing)
        self._doing, self._step = doing, step
        self._allowed_s = self.timeout_s * (FIRST_FACTOR if first else 1)
        self._since = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """From here on something has to be done all the time, until this ends."""
        if not self.timeout_s:
            yield
            return
        self.at("setting up", 0)
        with _opened(self.file) as stream:
            thread = threading.Thread(
                target=self._watch, args=(stream,), name="watchdog", daemon=True
            )
            thread.start()
            try:
                yield
            finally:
                self._over.set()
                thread.join()
                _disarm()

    def _watch(self, stream: TextIO) -> None:
        while True:
            silent_s = time.monotonic() - self._since
            left_s = self._allowed_s - silent_s
            if left_s < 0:
                self._end(stream, silent_s)
            _arm(left_s + _GRACE_S, stream)
            if self._over.wait(min(max(left_s, 0.01), self.timeout_s / 4, 1.0)):
                return

    def _end(self, stream: TextIO, silent_s: float) -> None:
        """Whatever comes here hangs too, the alarm ends the process."""
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, _GRACE_S)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        hang = {
            "at": now,
            "doing": self._doing,
            "silent_s": round(silent_s, 1),
            "step": self._step,
        }
        with contextlib.suppress(OSError):  # a full disk
            stream.write(
                f"--- {now} process {os.getpid()}: nothing for {silent_s:.1f} s, in "
                f"{self._doing} after step {self._step}\n"
            )
            stream.flush()
        faulthandler.dump_traceback(stream)
        print(
            f"algoperf: hung: nothing for {silent_s:.0f} s (--step_timeout="
            f"{self.timeout_s:g}) in {self._doing} after step {self._step}; the stacks "
            f"of all threads are in {self.file}. The same command line goes on from "
            "the last checkpoint.",
            file=sys.stderr,
            flush=True,
        )
        try:
            self.tell(hang)
        finally:
            os._exit(EXIT_HUNG)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The file for stacks, open ahead: later there may be no way to open it.

    It is taken away if nothing was written.
    """
    with open(path, "a", encoding="utf-8") as stream:
        yield stream
    with contextlib.suppress(OSError):
        if not path.stat().st_size:
            path.unlink()


def _arm(after_s: float, stream: TextIO) -> None:
    faulthandler.dump_traceback_later(after_s, file=stream)
    signal.setitimer(signal.ITIMER_REAL, after_s + _GRACE_S)


def _disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
