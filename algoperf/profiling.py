"""A `jax.profiler` trace of a few steps."""

from pathlib import Path
from typing import Any

import jax

from algoperf.clock import Clock

FIRST_STEP = 10  # past compilation and the first evaluation
STEPS = 5


class Profiler:
    """Traces steps 10 to 15 of a trial into a folder; starting it is not charged."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._tracing = False

    def stepped(self, step: int, clock: Clock, state: Any) -> None:
        """Call after every step."""
        if step == FIRST_STEP:
            with clock.paused(wait_for=state):
                jax.profiler.start_trace(self._folder)
                self._tracing = True
        elif step == FIRST_STEP + STEPS and self._tracing:
            with clock.paused(wait_for=state):
                self.close()

    def close(self) -> None:
        """Ends a trace that is still going on."""
        if self._tracing:
            jax.profiler.stop_trace()
            self._tracing = False
