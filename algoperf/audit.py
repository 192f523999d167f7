"""Notes what a submission opens, starts and connects to, as Python reports it.

A hook cannot be taken out again, so only processes of one trial have it. It sees what
goes through Python; docs/isolation.md says what does not.
"""

import os
import re
import sys
from collections.abc import Callable
from typing import Any

from algoperf.own_code import OwnCode, asked_for_it, is_running
from algoperf.witness import Isolated

OPENED = "opened a file of the experiment or the data set"
WROTE = "wrote outside of its own folders"
STARTED = "started a process"
CONNECTED = "used the network"
LOADED = "loaded a workload of its own"

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MOVES = frozenset(
    (
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.mkdir",
        "os.link",
        "os.symlink",
        "os.setxattr",
    )
)
_READS = frozenset(("os.listdir", "os.scandir"))
# What keeps nothing for another trial; /dev/shm would.
_DEVICES = re.compile(
    r"/dev/(null|zero|full|random|urandom|tty|std(in|out|err)|(fd|pts|dri)/.*"
    r"|(nvidia|accel|kfd|vfio).*)"
)
_COMPILED = re.compile(r".*/__pycache__/[^/]*\.pyc(\.\d+)?")  # Python's, of an import
_STARTS = frozenset(
    (
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "subprocess.Popen",
    )
)
_CONNECTS = frozenset(("socket.bind", "socket.connect", "socket.getaddrinfo"))
_LOADS = "algoperf.load_workload"  # raised by workloads/loading.py
_WATCHED = (
    frozenset(("open", "os.truncate", _LOADS)) | _MOVES | _READS | _STARTS | _CONNECTS
)


def watch_events(
    isolated: Isolated, own: OwnCode, note: Callable[[str, str], None]
) -> None:
    """From now on notes what the submission's code does to files and processes."""
    sealed = tuple(str(path) + os.sep for path in isolated.sealed)
    folders = (isolated.scratch, *isolated.may_write)
    writable = tuple(str(path) + os.sep for path in folders)
    # Taken now: the submission may put something else in their place.
    get_frame, absolute = sys._getframe, os.path.abspath

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _WATCHED:
            return
        # The harness loads workloads too, but never in a call of the submission's.
        asked = is_running if event == _LOADS else asked_for_it
        if not asked(get_frame(1), own):
            return
        if event in _STARTS:
            note(STARTED, _shown(arguments))
        elif event in _CONNECTS:
            note(CONNECTED, event)
        elif event == _LOADS:
            note(LOADED, str(arguments[0]))
        elif isinstance(arguments[0], str | bytes | os.PathLike):
            path = absolute(os.fsdecode(arguments[0]))
            inside = path + os.sep  # the folders themselves are meant, too
            writes = event not in _READS
            if event == "open":
                writes = _is_write(*arguments[1:3])
            if inside.startswith(writable):
                return  # first: a compilation cache may be among the experiments
            if inside.startswith(sealed):
                note(OPENED, path)
            elif writes and not (_COMPILED.fullmatch(path) or _DEVICES.fullmatch(path)):
                note(WROTE, path)

    sys.addaudithook(hook)


def _is_write(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return isinstance(flags, int) and bool(flags & _WRITES)


def _shown(arguments: tuple[Any, ...]) -> str:
    """The program of a new process, if the event says it."""
    return os.fsdecode(arguments[0]) if arguments and arguments[0] else "fork"
