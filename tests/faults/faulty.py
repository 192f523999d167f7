"""Runs `algoperf` with a fault: `python faulty.py FAULT COMMAND...`.

FAULT is JSON: {"at": [event, text, count], "do": action}. The fault happens when
`event` came `count` times with `text` in its first argument. Events are those that
Python's audit hooks see ("import", "open" for writing, "os.rename", "os.mkdir"), and
"doing", what a trial tells its watchdog. Actions: "kill"; ["kill soon", seconds];
["fill", folder], which leaves no room on its disk; "hang", in native code; ["raise",
name]. {"clock": "back"} lets the time of day run backwards.
"""

import errno
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILLER = "filler"


def main() -> int:
    fault = json.loads(sys.argv[1])
    sys.argv = ["algoperf", *sys.argv[2:]]
    if "clock" in fault:
        turn_back_the_clock()
    if "at" in fault:
        install(*fault["at"], action(fault["do"]))
    from algoperf.cli.main import main as algoperf

    return algoperf()


def install(event: str, text: str, count: int, act: Callable[[], None]) -> None:
    left = [count]

    def happened(first: Any) -> None:
        if left[0] and text in str(first):
            left[0] -= 1
            if not left[0]:
                act()

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name != event:
            return
        # Flags rather than the mode, which os.open does not have.
        if name == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        happened(arguments[0])

    if event != "doing":
        sys.addaudithook(hook)
        return
    from algoperf.watchdog import Watchdog

    plain = Watchdog.at

    def at(self: Watchdog, doing: str, step: int) -> None:
        plain(self, doing, step)
        happened(doing)

    Watchdog.at = at


def action(given: Any) -> Callable[[], None]:
    name, *details = [given] if isinstance(given, str) else given
    actions: dict[str, Callable[..., None]] = {
        "kill": kill,
        "kill soon": lambda after_s: threading.Timer(after_s, kill).start(),
        "fill": lambda folder: fill(Path(folder)),
        "hang": hang,
        "raise": raise_named,
    }
    return lambda: actions[name](*details)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill(folder: Path) -> None:
    """Takes all the room of a small disk."""
    with open(folder / FILLER, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def hang() -> None:
    """A program that never ends, waited for as for any other."""
    import jax

    jax.jit(lambda x: jax.lax.while_loop(lambda x: x >= 0, lambda x: x * 2, x))(
        0
    ).block_until_ready()


def raise_named(name: str) -> None:
    import jax

    if name == "MemoryError":
        raise MemoryError
    raise jax.errors.JaxRuntimeError(f"{name}: Out of memory allocating 1 byte.")


def turn_back_the_clock() -> None:
    passed = itertools.count()
    began = time.time()
    time.time = lambda: began - 60 * next(passed)


if __name__ == "__main__":
    sys.exit(main())
