"""What a submission did that it should not: found between steps, named in trial.json.

Nothing here is on the clock. It names what a person should look at; docs/isolation.md
says what it sees and what it cannot see.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import psutil

from algoperf.compat import supply_removed_names
from algoperf.own_code import OwnCode, began_it, is_running
from algoperf.snapshot import replaced, snapshot
from algoperf.workload import Workload

REPLACED = "replaced a function that the harness rests on"
WORKLOAD = "changed the workload"
THREAD = "a thread of the submission runs during an evaluation"
PROCESS = "a process of the submission is alive at an evaluation"


class Watch:
    """Looks at every evaluation for what has changed since before the submission was
    loaded. `findings` is plain JSON; each is said once."""

    def __init__(
        self,
        workload: Workload,
        own: OwnCode,
        say: Callable[[str], None],
    ):
        supply_removed_names()  # that, too, is done before
        self.findings: list[dict[str, Any]] = []
        self.step = 0
        self._own, self._say = own, say
        self._before = snapshot()
        self._workloads = [(workload, _parts(workload))]
        self._known = {process.pid for process in _children()}

    def continued(self, earlier: Iterable[Mapping[str, Any]]) -> None:
        """Takes over what earlier processes of a trial found."""
        self.findings = [*map(dict, earlier), *self.findings]

    def handed(self, workload: Workload) -> None:
        """From now on looks at this one too: the copy that the submission gets."""
        self._workloads.append((workload, _parts(workload)))

    def know_processes(self) -> None:
        """The processes that there are now are the harness's own."""
        self._known |= {process.pid for process in _children()}

    def look(self, step: int) -> None:
        """Names what is not as it was."""
        self.step = step
        for name in replaced(self._before):
            self.note(REPLACED, name)
        for workload, before in self._workloads:
            now = _parts(workload)
            for name in before:
                if now[name] is not before[name] and now[name] != before[name]:
                    self.note(WORKLOAD, name)
        for name in _threads(self._own):
            self.note(THREAD, name)
        for process in _children():
            if process.pid not in self._known:
                self.note(PROCESS, _name(process))

    def note(self, what: str, detail: str) -> None:
        """Adds a finding, unless it is there, and says it."""
        if any((f["what"], f["detail"]) == (what, detail) for f in self.findings):
            return
        self.findings.append({"what": what, "step": self.step, "detail": detail})
        self._say(f"noted in trial.json: {what} ({detail})")


def _parts(workload: Workload) -> dict[str, Any]:
    """What a workload is made of: compared by identity, its facts by value."""
    parts = {field.name: getattr(workload, field.name) for field in fields(workload)}
    del parts["metrics_logger"]  # the harness and submissions may set it
    del parts["example_batch"]  # read once, before
    return parts | {f"facts.{k}": v for k, v in workload.facts.as_dict().items()}


def _threads(own: OwnCode) -> Iterator[str]:
    """The names of other threads that the submission's code runs in, or began."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        if ident == threading.get_ident():
            continue
        if is_running(frame, own) or began_it(frame, own):
            yield names.get(ident, "unnamed")


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:  # it has just ended
        return "unknown"
