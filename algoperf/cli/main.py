"""`algoperf <command>`: finds the command and turns mistakes into one message."""

import sys
from collections.abc import Callable
from importlib import import_module

from algoperf import __version__
from algoperf.cli.again import continuing
from algoperf.facts import UserError, closest

# Modules are named, not imported: `--help` and `list` must not wait for JAX.
COMMANDS = {
    "list": ("algoperf.cli.list_command", "workloads and submissions, and their data"),
    "prepare": ("algoperf.cli.prepare_command", "make a data set of its raw files"),
    "run": ("algoperf.cli.run_command", "train a submission on workloads"),
    "sweep": ("algoperf.cli.sweep_command", "run many trials, here or on a cluster"),
    "status": ("algoperf.cli.status_command", "how far the trials of a folder are"),
    "merge": ("algoperf.cli.merge_command", "join the folders of several machines"),
    "check": ("algoperf.cli.check_command", "try a submission and read its files"),
    "new": ("algoperf.cli.new_command", "write a submission to start from"),
    "score": ("scoring.cli", "turn the folders that `run` wrote into a leaderboard"),
}

USAGE = "\n".join(
    [
        f"algoperf {__version__}: benchmark training algorithms for neural networks",
        "",
        "usage: algoperf COMMAND [--flags]",
        "",
        *(f"  {name:<8}{text}" for name, (_, text) in COMMANDS.items()),
        "",
        "`algoperf COMMAND --help` lists the flags of a command.",
    ]
)

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Runs one command line; returns the exit code (2 for bad input)."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(USAGE)
        return 0 if arguments else EXIT_BAD_INPUT
    if arguments[0] == "--version":
        print(__version__)
        return 0
    return guarded(
        lambda: _command(arguments[0])(arguments[1:]),
        f"interrupted; to go on, or to begin again:\n  {continuing(arguments)}",
    )


def guarded(command: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Runs a command; mistakes of the user's become one message.

    `interrupted` is what is said after a Ctrl-C that the command did not take.
    """
    try:
        return command()
    except UserError as error:
        print(f"algoperf: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        # The reader of our output (`| head`) left: not an error of ours.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print(f"algoperf: {interrupted}", file=sys.stderr)
        return EXIT_INTERRUPTED


def _command(name: str):
    if name not in COMMANDS:
        raise UserError(
            f"no command {name!r}; {closest(name, COMMANDS)}Commands: "
            f"{', '.join(COMMANDS)}. `algoperf --help` describes them."
        )
    return import_module(COMMANDS[name][0]).main
