"""Ctrl-C, SIGTERM, a closed terminal: finish the step, save, end in good order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from algoperf.cluster import Alone, Hosts


class StopRequest:
    """Whether somebody asked this run to stop, and with which signal."""

    def __init__(self, hosts: Hosts | None = None) -> None:
        self._hosts = hosts or Alone()
        self._asked = False

    @property
    def signal_number(self) -> int | None:
        """The signal that a process of the run got, as all of them see it."""
        return self._hosts.stop_signal

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal_number or 0)

    def ask(self, signal_number: int) -> None:
        """Asks for a stop, as that signal does; a second time it stops at once."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._hosts.ask_to_stop(signal_number)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The first signal asks for a stop; a second one stops at once."""
        before = {
            number: signal.signal(number, lambda number, frame: self.ask(number))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
