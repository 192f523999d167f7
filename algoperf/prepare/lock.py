"""One preparation of a folder at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from algoperf.facts import UserError

NAME = ".prepare.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock; the file says which process has it.

    The kernel's lock decides, not the file: it ends with its process, however that
    ends, so a file that a killed process left behind is taken over, and a process
    number that was given to another process misleads nobody.

    Raises:
      UserError: another process is preparing this folder.
    """
    with open(folder / NAME, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{folder} is being prepared by {holder}; wait for it, or end it and "
                "run this again: what it has done is kept."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield
