"""How far long work is: lines of progress."""

import time
from collections.abc import Callable

Say = Callable[[str], None]


class Meter:
    """Says how many bytes are done, at what rate, and how long it still takes.

    The rate is that of this process: what an earlier one did counts as done at once.
    """

    def __init__(
        self,
        say: Say,
        what: str,
        total_bytes: int,
        done_bytes: int = 0,
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._say = say
        self._what = what
        self._total = total_bytes
        self._before = done_bytes
        self._done = done_bytes
        self._every_s = every_s
        self._clock = clock
        self._start = self._said = clock()

    def add(self, count: int, note: str = "") -> None:
        """Counts bytes; says so if the last line is `every_s` old."""
        self._done += count
        now = self._clock()
        if now - self._said >= self._every_s:
            self._said = now
            self._say(self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        spent_s = max(now - self._start, 1e-9)
        per_s = (self._done - self._before) / spent_s
        left_s = max(self._total - self._done, 0) / per_s if per_s else float("inf")
        left = f", {duration(left_s)} left" if per_s else ""
        return (
            f"{self._what}: {size(self._done)} of {size(self._total)}{note}, "
            f"{size(per_s)}/s{left}"
        )


def size(count: float) -> str:
    """Bytes for people: 1.5 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:,.1f} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds for people: 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def files(count: int) -> str:
    """A number of files for people: 1 file, 2 files."""
    return f"{count:,} file{'' if count == 1 else 's'}"
