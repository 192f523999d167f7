"""Runs one task of a SLURM job array: what the batch script starts.

  python -m algoperf.sweep.array_task TASKS INDEX MAX_RESTARTS

TASKS is a JSON file with a list of {"command": [...], "folder": path, "log": path}, the
folder being the trial's. This process replaces the batch script, so that SLURM's
signals come here:

* SIGUSR1, some minutes before the time limit (`--signal=B:USR1@...`): the trial is
  saved and the job put back into the queue, where it goes on later.
* SIGTERM, when the job is preempted, requeued or cancelled: the trial is saved. What
  becomes of the job is SLURM's to say, which knows the reason.

A process that dies is started again here, in the same job.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from algoperf.sweep.scan import read_state
from algoperf.sweep.supervise import Job, Supervised, in_words

_POLL_S = 0.2
_SIGNALLED = 128


class _Wishes:
    """The signals that came."""

    def __init__(self) -> None:
        self.stop = self.requeue = False
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, self._on_term)
        signal.signal(signal.SIGUSR1, self._on_time)

    def _on_term(self, number: int, frame: Any) -> None:
        del number, frame
        self.stop = True

    def _on_time(self, number: int, frame: Any) -> None:
        del number, frame
        self.stop = self.requeue = True


def main(argv: list[str]) -> int:
    """Runs the task to its end or until a signal; returns its exit code."""
    wishes = _Wishes()
    file, index, max_restarts = argv
    task = json.loads(Path(file).read_text(encoding="utf-8"))[int(index)]
    log, folder = Path(task["log"]), Path(task["folder"])
    steps_before = read_state(folder).steps
    process = Supervised(Job(task["command"], log, os.environ), int(max_restarts))
    while (end := process.poll()) is None:
        if wishes.stop and not process.stopping:
            process.stop()
        time.sleep(_POLL_S)
    print(f"{end}: {in_words(process.code)}; its output is in {log}", flush=True)
    state = read_state(folder)
    if wishes.requeue and state.outcome is None:
        if state.steps > steps_before:
            return _requeue()
        # It would never get anywhere.
        print("not put back: no step was made within the time limit", flush=True)
    return process.code if process.code >= 0 else _SIGNALLED - process.code


def _requeue() -> int:
    """Puts this job back into the queue; SLURM ends it meanwhile."""
    # Not SLURM_JOB_ID: one of the tasks has the array's, which stands for all of them.
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    if done.returncode:
        print(
            f"cannot put job {job} back into the queue: {done.stderr.strip()}; the "
            "trial was saved, and the same `algoperf sweep` line submits it again",
            flush=True,
        )
    return _SIGNALLED + signal.SIGTERM


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
