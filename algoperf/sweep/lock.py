"""One sweep at a time in a folder: two would start the same trials."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from algoperf import records
from algoperf.facts import UserError
from algoperf.file_lock import FileLock, Held
from algoperf.sweep.record import FOLDER


@contextmanager
def only_one(experiment_dir: Path) -> Iterator[None]:
    """Holds a folder against other sweeps.

    Raises:
      UserError: another one runs there.
    """
    try:
        lock = FileLock(experiment_dir / FOLDER / records.LOCK)
    except Held as who:
        raise UserError(
            f"another sweep runs in {experiment_dir} ({who}). Wait for it, stop it, or "
            "give another --experiment_dir."
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write to {experiment_dir}: {error.strerror}. Give another "
            "--experiment_dir."
        ) from error
    with closing(lock):
        yield
