"""Ctrl-C, SIGTERM, a closed terminal: finish the step, save, end in good order."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Schedulers signal a process and the one that watches it, which passes the signal on:
# so soon after the first, a signal is the same request.
_SAME_REQUEST_S = 1.0


class StopRequest:
    """Whether somebody asked this process to stop, and with which signal."""

    def __init__(self, same_request_s: float = _SAME_REQUEST_S) -> None:
        self.signal_number: int | None = None
        self._same_request_s = same_request_s
        self._asked_s = 0.0

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal_number or 0)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The first signal asks for a stop; one a second later stops at once."""

        def ask(number: int, frame: Any) -> None:
            del frame
            now_s = time.monotonic()
            if self.signal_number is None:
                self.signal_number, self._asked_s = number, now_s
            elif now_s - self._asked_s >= self._same_request_s:
                raise KeyboardInterrupt

        before = {
            number: signal.signal(number, ask)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
