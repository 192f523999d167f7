"""Runs tasks on this machine: one process a place, until none is left."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from algoperf.stop_request import StopRequest
from algoperf.sweep.pinning import Place
from algoperf.sweep.scan import TrialState, read_state
from algoperf.sweep.supervise import Job, Supervised, in_words, last_words
from algoperf.sweep.tasks import Sweep, Task

POLL_S = 0.05
# After a second Ctrl-C, before the trials are killed.
_PATIENCE_S = 5.0


class View(Protocol):
    """Shows people how a sweep goes."""

    def started(self, task: Task) -> None: ...

    def ended(self, task: Task, state: TrialState, problem: str) -> None: ...

    def tick(self) -> None: ...


@dataclass
class Local:
    """The tasks that wait and those that run; `run` returns when none is left.

    `problems` has the tasks without an outcome, with the reason.
    """

    sweep: Sweep
    places: Iterable[Place]
    view: View
    environment: Mapping[str, str]
    max_restarts: int
    problems: dict[Task, str] = field(default_factory=dict)
    _running: dict[Place, tuple[Task, Supervised]] = field(default_factory=dict)

    def run(self, tasks: Iterable[Task], stop: StopRequest) -> None:
        """Runs every task, or until `stop` asks for an end: then all are saved.

        Raises:
          KeyboardInterrupt: a second signal; no process is left behind.
        """
        waiting = deque(tasks)
        try:
            while (waiting or self._running) and stop.signal_number is None:
                self._fill(waiting)
                time.sleep(POLL_S)
                self._collect()
                self.view.tick()
            self._each(lambda process: process.stop())
            self._wait(None)
        except BaseException:
            # A second signal, or a fault of ours: nothing may go on unwatched.
            self._each(lambda process: process.stop())
            self._wait(time.monotonic() + _PATIENCE_S)
            self._each(lambda process: process.kill())
            self._wait(None)
            raise

    def _fill(self, waiting: deque[Task]) -> None:
        for place in self.places:
            if place not in self._running and waiting:
                task = waiting.popleft()
                job = Job(
                    self.sweep.command(task),
                    self.sweep.log(task),
                    place.environment(self.environment),
                    place.cpus,
                )
                self._running[place] = task, Supervised(job, self.max_restarts)
                self.view.started(task)

    def _collect(self) -> None:
        for place, (task, process) in list(self._running.items()):
            end = process.poll()
            if end is None:
                continue
            del self._running[place]
            state = read_state(self.sweep.folder(task))
            problem = ""
            if end == "died":
                problem = f"{in_words(process.code)}, {process.restarts + 1} times"
            elif state.outcome is None and end != "stopped":
                said = last_words(process.job.log)
                problem = said or in_words(process.code)
            if problem:
                self.problems[task] = problem
            self.view.ended(task, state, problem)

    def _wait(self, deadline: float | None) -> None:
        while self._running and (deadline is None or time.monotonic() < deadline):
            time.sleep(POLL_S)
            self._collect()

    def _each(self, act: Callable[[Supervised], None]) -> None:
        for _, process in self._running.values():
            act(process)
