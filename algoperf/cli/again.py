"""The command line that goes on with what another one began."""

import re
import shlex
import sys
from collections.abc import Sequence

# With these the same line would begin anew: in the place of what was saved, or beside.
_ANEW = re.compile(r"--?(no)?(overwrite|append_timestamp)(=.*)?")
_NAME = re.compile(r"--?experiment_name(=.*)?")


def continuing(arguments: Sequence[str], experiment_name: str | None = None) -> str:
    """The command line `algoperf ARGUMENTS` without what would begin anew.

    `experiment_name` is the folder that a line with --append_timestamp wrote into.
    """
    stamped = any(re.fullmatch(r"--?append_timestamp.*", one) for one in arguments)
    kept = [one for one in arguments if not _ANEW.fullmatch(one)]
    if experiment_name is not None and stamped:
        places = [i for i, one in enumerate(kept) if _NAME.fullmatch(one)]
        for place in reversed(places):
            # The value is behind the equals sign, or the next word.
            del kept[place : place + (1 if "=" in kept[place] else 2)]
        kept.append(f"--experiment_name={experiment_name}")
    return shlex.join(["algoperf", *kept])


def this_line(experiment_name: str | None = None) -> str:
    """The same of this process's command line."""
    return continuing(sys.argv[1:], experiment_name)
