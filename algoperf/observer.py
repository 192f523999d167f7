"""What shows people how a trial goes."""

from typing import Any, Protocol

from algoperf.progress import Progress


class Observer(Protocol):
    """Shows people how a trial goes; `stepped` is on the clock and has to be quick."""

    def stepped(self, progress: Progress, submission_s: float) -> None: ...

    def evaluated(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None: ...

    def ended(self, record: dict[str, Any]) -> None: ...
