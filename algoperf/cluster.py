"""The processes of a run: how they find each other, and what they agree on.

Standard library only; `algoperf.hosts` has what several processes need of JAX.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from algoperf.facts import UserError


class Cluster(NamedTuple):
    """The first process's address and this one's place; empty where a launcher, such
    as `srun`, says both."""

    coordinator: str | None = None  # HOST:PORT
    processes: int | None = None
    index: int | None = None


class ToldError(UserError):
    """An error of the first process, in another one; the first one shows it."""


class Hosts(Protocol):
    """The processes of a run."""

    first: bool  # whether this process decides and writes
    stop_signal: int | None  # that any process got, as agreed the last time

    def agree(self, find: Callable[[], Any]) -> Any:
        """What `find` returns in the first process; in the others it is not called.

        Every process has to come here equally often, in the same order. The value is
        one that JSON can hold.

        Raises:
          ToldError: the first process ended with an error since the last time.
        """
        ...

    def tell(self, error: UserError) -> None:
        """The first process ends with an error: so will the others."""
        ...

    def close(self) -> None:
        """Waits for messages on their way, and for the others to end."""
        ...

    def ask_to_stop(self, signal_number: int) -> None:
        """Asks all processes to stop after the step they are at."""
        ...


class Alone:
    """A run of one process."""

    def __init__(self) -> None:
        self.first = True
        self.stop_signal: int | None = None

    def agree(self, find: Callable[[], Any]) -> Any:
        return find()

    def tell(self, error: UserError) -> None: ...

    def close(self) -> None: ...

    def ask_to_stop(self, signal_number: int) -> None:
        self.stop_signal = signal_number
