"""One preparation of a folder at a time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from algoperf.facts import UserError
from algoperf.file_lock import FileLock, Held

NAME = ".prepare.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder against other preparations; the file says who has it.

    Raises:
      UserError: another process is preparing this folder.
    """
    try:
        lock = FileLock(folder / NAME)
    except Held as who:
        raise UserError(
            f"{folder} is being prepared by {who}; wait for it, or end it and run this "
            "again: what it has done is kept."
        ) from None
    with contextlib.closing(lock):
        yield
