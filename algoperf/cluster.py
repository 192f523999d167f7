"""How the processes of a run find each other. Standard library only."""

from typing import NamedTuple


class Cluster(NamedTuple):
    """The first process's address and this one's place; empty where a launcher, such
    as `srun`, says both."""

    coordinator: str | None = None  # HOST:PORT
    processes: int | None = None
    index: int | None = None
