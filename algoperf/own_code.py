"""Which running code is the submission's."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import algoperf

OwnCode = Callable[[str], bool]

_HARNESS = Path(algoperf.__file__).parent
# A virtual environment or this project may lie in the folder of a submission.
_LIBRARIES = (
    *(Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)),
    _HARNESS,
    _HARNESS.parent / "workloads",
)
_OF_HARNESS = tuple(str(path) + "/" for path in _LIBRARIES[2:])


def own_code(file: Path) -> OwnCode:
    """Whether the file of a frame is the submission's or a helper's beside it.

    Args:
      file: the submission's.
    """
    folder = file.parent.resolve()
    libraries = [path for path in _LIBRARIES if path.is_relative_to(folder)]

    @functools.cache
    def own(filename: str) -> bool:
        if not filename or filename.startswith("<"):
            return False
        path = Path(filename).resolve()
        return path.is_relative_to(folder) and not any(
            path.is_relative_to(library) for library in libraries
        )

    return own


def is_made_at_run_time(filename: str) -> bool:
    """Whether code is of no file: of `exec`, `eval` or a command line."""
    return filename.startswith("<") and not filename.startswith("<frozen ")


def is_running(frame: FrameType | None, own: OwnCode) -> bool:
    """Whether the submission's code is on a stack."""
    while frame is not None:
        if own(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def began_it(frame: FrameType | None, own: OwnCode) -> bool:
    """Whether a stack begins with the submission's code, or with code made at run time;
    what Python and libraries do before does not matter."""
    began = False
    while frame is not None:
        filename = frame.f_code.co_filename
        if own(filename) or is_made_at_run_time(filename):
            began = True
        elif filename.startswith(_OF_HARNESS):
            began = False
        frame = frame.f_back
    return began


def asked_for_it(frame: FrameType | None, own: OwnCode) -> bool:
    """Whether what happens is the submission's doing and not the harness's, that it
    called: the next batch opens files of the data set.

    Code that was made at run time is the submission's: nobody else asks for anything
    by such.
    """
    while frame is not None:
        filename = frame.f_code.co_filename
        if own(filename) or is_made_at_run_time(filename):
            return True
        if filename.startswith(_OF_HARNESS):
            return False
        frame = frame.f_back
    return False
