"""Ctrl-C, SIGTERM, a closed terminal: finish the step, save, end in good order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StopRequest:
    """Whether somebody asked this process to stop, and with which signal."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal_number or 0)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The first signal asks for a stop; a second one stops at once."""

        def ask(number: int, frame: Any) -> None:
            del frame
            if self.signal_number is not None:
                raise KeyboardInterrupt
            self.signal_number = number

        before = {
            number: signal.signal(number, ask)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
