"""One sweep at a time in a folder: two would start the same trials."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from algoperf import records
from algoperf.facts import UserError
from algoperf.sweep.record import FOLDER


@contextmanager
def only_one(experiment_dir: Path) -> Iterator[None]:
    """Holds a folder against other sweeps.

    Raises:
      UserError: another one runs there.
    """
    file = experiment_dir / FOLDER / records.LOCK
    with open(file, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            host, _, process = lock.read().partition(" ")
            raise UserError(
                f"another sweep runs in {experiment_dir} (process {process or '?'} on "
                f"{host or 'an unknown host'}). Wait for it, stop it, or give another "
                "--experiment_dir."
            ) from None
        lock.truncate(0)
        lock.write(records.holder())
        lock.flush()
        yield
