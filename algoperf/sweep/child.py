"""Becomes the command of a task: `python child.py PARENT CPUS COMMAND...`.

A program of its own, since Python code between fork and exec is not safe where there
are threads, as JAX has.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def line(parent: int, cpus: tuple[int, ...], command: list[str]) -> list[str]:
    """The command line that runs `command` on these CPUs, no longer than its parent.

    XLA makes as many threads as there are CPUs that a process may use. Where the system
    cannot pin (macOS), or without CPUs, it may use all.
    """
    program = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
    return [*program, str(parent), ",".join(map(str, cpus)), *command]


def main(arguments: list[str]) -> None:
    """Prepares this process, and runs the command in it."""
    parent, cpus, *command = arguments
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
    if sys.platform == "linux":
        # No trial outlives the sweep that watches it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it has died meanwhile
            sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
