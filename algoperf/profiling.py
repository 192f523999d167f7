"""A `jax.profiler` trace of a few steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from algoperf.clock import Clock

FIRST_STEP = 10  # past compilation and the first evaluation
STEPS = 5


class Profiler:
    """Traces steps 10 to 15 of a trial into a folder; starting it is not charged.

    What goes wrong, such as a full disk, is said to `report`, and the trial goes on.
    """

    def __init__(self, folder: Path, report: Callable[[str], None] = print):
        self._folder = folder
        self._report = report
        self._tracing = False

    def stepped(self, step: int, clock: Clock, state: Any) -> None:
        """Call after every step."""
        if step == FIRST_STEP:
            with clock.paused(wait_for=state), self._guarded():
                jax.profiler.start_trace(self._folder)
                self._tracing = True
        elif step == FIRST_STEP + STEPS and self._tracing:
            with clock.paused(wait_for=state):
                self.close()

    def close(self) -> None:
        """Ends a trace that is still going on."""
        if self._tracing:
            self._tracing = False
            with self._guarded():
                jax.profiler.stop_trace()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of XLA's, which has no class for it
            reason = str(error).splitlines()[0]
            self._report(f"no trace in {self._folder}: {reason}; the trial goes on")
