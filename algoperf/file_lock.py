"""A lock that ends with its process, however that ends, and holds on network drives."""

import errno
import fcntl
import os
import struct
import time
from pathlib import Path
from typing import NamedTuple

from algoperf import records
from algoperf.facts import UserError

# struct flock of Linux: type, whence, start, length (0: the whole file), process (0).
_FLOCK = "hhqqi0q"
_HELD = {errno.EAGAIN, errno.EACCES}
# Who has just got a lock has perhaps not yet written down who it is.
_SETTLE_S = 0.1


class Holder(NamedTuple):
    """The process that has a lock, as the lock's file says."""

    host: str
    process: int
    since: str  # date and time; empty if that is not known

    def __str__(self) -> str:
        since = f" since {self.since}" if self.since else ""
        return f"process {self.process} on {self.host}{since}"


class Held(Exception):
    """Another process has the lock; the text says which one."""


class FileLock:
    """Holds a file against every other `FileLock`, in this process too, until `close`.

    The kernel's lock decides and not the file, which only says who has it: what a
    killed process left behind is taken over, and a process number that was given to
    another process misleads nobody.

    Open file description locks are what Linux sends to the server of a network file
    system, as the record locks of POSIX are; unlike those they are not lost when
    somebody in this process opens and closes the same file. Where they do not exist
    (macOS) it is `flock`.

    Raises:
      Held: another process has it.
      UserError: the file system has no locks.
      OSError: the file cannot be written.
    """

    def __init__(self, path: Path):
        # Not truncated before it is ours: it says who has it.
        self._file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (held until close)
        try:
            _lock(self._file.fileno())
        except OSError as error:
            self._file.close()
            if error.errno in _HELD:
                time.sleep(_SETTLE_S)
                raise Held(str(read_holder(path) or "another process")) from None
            raise UserError(
                f"{path} cannot be locked ({error.strerror}), so two processes could "
                "write there at once. Mount its file system with locks (NFS: without "
                "nolock; Lustre: with flock), or give a folder on another one."
            ) from error
        self._say(records.holder())

    def close(self) -> None:
        """Lets others have it."""
        self._say("")
        self._file.close()

    def _say(self, text: str) -> None:
        """For people and `algoperf status`; the lock itself does not need it."""
        try:
            self._file.truncate(0)
            self._file.write(text)
            self._file.flush()
        except OSError:
            pass  # a full disk: whoever writes something that matters says so


def read_holder(path: str | os.PathLike[str]) -> Holder | None:
    """Who has the lock by its file, which may be out of date; None if nobody."""
    try:
        with open(path, encoding="utf-8") as file:
            host, number, *since = file.read().split()
        return Holder(host, int(number), " ".join(since))
    except (OSError, ValueError):
        return None


def _lock(descriptor: int) -> None:
    """Takes the lock, or raises OSError at once."""
    command = getattr(fcntl, "F_OFD_SETLK", None)
    if command is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(descriptor, command, request)
