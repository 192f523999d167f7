"""`algoperf status`: how far the trials of a folder are, without touching them."""

import datetime
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from absl import flags

from algoperf.cli.definer import Definer
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.cli.sweep_view import LiveBlock
from algoperf.facts import Facts, UserError
from algoperf.sweep.record import expected_tasks
from algoperf.sweep.scan import find_trials, read_state
from algoperf.sweep.status import cells_of, hung, summary, table
from workloads.catalog import CATALOG

USAGE = """algoperf status DIR [--watch]

DIR is the --experiment_dir of `algoperf sweep` or `algoperf run`. A row is one
submission on one workload; `best` has a star where a trial reached the target,
`left` is the time that processes still need if trials go on as those that are over."""


def main(argv: list[str]) -> int:
    """Prints the table; with --watch until Ctrl-C or until nothing is left."""
    values = flags.FlagValues()
    flag = Definer(values)
    flag.boolean("watch", False, "Show it again and again.")
    flag.number("every_s", 0.1, "With --watch: seconds between two looks; default: 5.")
    try:
        words = parse(values, USAGE, argv, most_words=None)
    except HelpShown:
        return 0
    if len(words) != 1:
        raise UserError(
            f"`algoperf status` takes one folder, not {len(words)}: the experiment_dir."
        )
    folder = Path(words[0]).expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give an experiment_dir.")
    screen = LiveBlock(sys.stdout)
    while True:
        text, over = look(folder, CATALOG)
        if values.watch and screen.live:
            screen.draw(text)
        else:
            print(text, flush=True)
        if not values.watch or over:
            return 0
        time.sleep(values.every_s or 5.0)


def look(folder: Path, catalog: Mapping[str, Facts]) -> tuple[str, bool]:
    """What `status` prints of a folder, and whether all its trials are over.

    Raises:
      UserError: there is no trial in it, and none is planned.
    """
    states = {task: read_state(path) for task, path in find_trials(folder)}
    tasks = dict.fromkeys([*expected_tasks(folder), *sorted(states)])
    if not tasks:
        raise UserError(
            f"{folder} has no trials (SUBMISSION/study_S/WORKLOAD_jax/trial_N) and no "
            "plan of a sweep; give the experiment_dir."
        )
    cells = cells_of(tasks, states, catalog)
    over = not any(cell.running or cell.waiting for cell in cells)
    now = datetime.datetime.now()
    lines = [table(cells, catalog), "", summary(cells, now), *hung(states)]
    return "\n".join(lines), over
