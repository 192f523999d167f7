"""Ctrl-C, SIGTERM, a closed terminal: finish the step, save, end in good order."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from algoperf.cluster import Alone, Hosts

# Schedulers signal a process and the one that watches it, which passes the signal on:
# so soon after the first, a signal is the same request.
_SAME_REQUEST_S = 1.0


class StopRequest:
    """Whether somebody asked this run to stop, and with which signal."""

    def __init__(
        self, hosts: Hosts | None = None, same_request_s: float = _SAME_REQUEST_S
    ) -> None:
        self._hosts = hosts or Alone()
        self._same_request_s = same_request_s
        self._asked_s: float | None = None

    @property
    def signal_number(self) -> int | None:
        """The signal that a process of the run got, as all of them see it."""
        return self._hosts.stop_signal

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal_number or 0)

    def ask(self, signal_number: int) -> None:
        """Asks for a stop, as that signal does; a second later it stops at once."""
        now_s = time.monotonic()
        if self._asked_s is None:
            self._asked_s = now_s
            self._hosts.ask_to_stop(signal_number)
        elif now_s - self._asked_s >= self._same_request_s:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The first signal asks for a stop; one a second later stops at once."""
        before = {
            number: signal.signal(number, lambda number, frame: self.ask(number))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
