"""What a trial's own process knows of being isolated: told by the one that started it.

Standard library only: both processes import this.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Mode = Literal["process", "strict"]

RUNNING, STOPPED = "running", "stopped"  # what a trial tells the process that watches


@dataclass(frozen=True)
class Isolated:
    """Of one trial in a process of its own.

    `pipe` is where it tells when its clock starts and stops, to be timed by a process
    that the submission cannot reach. `scratch` is the working directory, home and
    temporary folder; `sealed` are folders and files that are not the submission's to
    open.
    """

    mode: Mode
    pipe: int
    scratch: Path
    sealed: tuple[Path, ...]
    may_write: tuple[Path, ...] = ()

    def tell(self, text: str) -> None:
        """Says that the clock has started, or stopped after so many seconds."""
        with contextlib.suppress(OSError):  # nobody listens: no witness then
            os.write(self.pipe, (text + "\n").encode())

    def as_record(self) -> dict[str, Any]:
        """For `trial.json`; the one that watches fills the times in, and `watched`."""
        return {
            "mode": self.mode,
            "watched": False,
            "witnessed_s": None,
            "accounted_s": None,
        }
