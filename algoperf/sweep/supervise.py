"""One task's process: started, started again if it dies, stopped in good order."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from algoperf.sweep import child
from algoperf.watchdog import EXIT_HUNG

# A process that a signal ended is negative in Python; above 128 is the shell's, and
# also `algoperf run`'s own after it has saved because of a signal.
_SIGNALLED = 128

End = Literal["ended", "died", "stopped"]


@dataclass(frozen=True)
class Job:
    """What to run for a task, where its output goes, and on which CPUs (or any)."""

    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    cpus: tuple[int, ...] = ()


@dataclass
class Supervised:
    """The process of a job, and the ones after it if it dies.

    A process that a signal ended (killed for memory, a crash in native code), or that
    its watchdog ended as if by one, is started again, `max_restarts` times; the trial
    goes on from its checkpoint. One that ends by itself, whatever its exit code, is
    not: it would end the same way.
    """

    job: Job
    max_restarts: int
    restarts: int = 0
    stopping: bool = False
    code: int = 0
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._start("started")

    def poll(self) -> End | None:
        """None while it runs; else how it ended for good."""
        code = self._process.poll()
        if code is None:
            return None
        self.code = code
        if self.stopping:
            return "stopped"
        if 0 <= code <= _SIGNALLED:
            return "ended"
        if self.restarts >= self.max_restarts:
            return "died"
        self.restarts += 1
        self._start(f"{in_words(code)}; started again")
        return None

    def stop(self) -> None:
        """Asks the process to save and end; once more: to end at once."""
        self.stopping = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process without its consent."""
        self.stopping = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _start(self, why: str) -> None:
        job = self.job
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab") as log:
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            log.write(f"--- {now} {why}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                child.line(os.getpid(), job.cpus, list(job.command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(job.environment),
                # Ctrl-C on the terminal is the parent's: it stops the trials itself.
                start_new_session=True,
            )


def in_words(code: int) -> str:
    """An exit code, for people."""
    if code in (EXIT_HUNG, _SIGNALLED - EXIT_HUNG):
        return "hung (nothing happened for --step_timeout seconds)"
    number = -code if code < 0 else code - _SIGNALLED
    if code < 0 or number > 0:
        try:
            return f"ended by {signal.Signals(number).name}"
        except ValueError:
            pass
    return f"exit code {code}"


def last_words(log: Path) -> str:
    """The last error of a log that says why a process ended; '' without one."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    spoken = [line for line in lines if line.strip() and not line.startswith("---")]
    ours = [line for line in spoken if line.startswith("algoperf: ")]
    errors = [
        line for line in spoken if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)
    ]
    last = (ours or errors or spoken or [""])[-1]
    return last.removeprefix("algoperf: ")
