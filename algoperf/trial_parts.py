"""What stands around a trial while it trains: files, charts, and who watches it."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import jax

from algoperf.checkpoint import Checkpoints
from algoperf.cluster import Hosts
from algoperf.observer import Observer
from algoperf.study import TrialPlan
from algoperf.trackers import Trackers
from algoperf.trial_folder import CHECKPOINTS, TrialFolder
from algoperf.trial_settings import RunOptions
from algoperf.watch import Watch
from algoperf.watchdog import FILE, Watchdog


@dataclass(frozen=True)
class TrialParts:
    """Open while a trial trains. `record` becomes its `trial.json`."""

    folder: TrialFolder
    record: dict[str, Any]
    watch: Watch
    watchdog: Watchdog
    checkpoints: Checkpoints | None
    trackers: Trackers


@contextmanager
def opened_parts(
    plan: TrialPlan,
    options: RunOptions,
    observer: Observer,
    hosts: Hosts,
    folder: TrialFolder,
    record: dict[str, Any],
    watch: Watch,
) -> Iterator[TrialParts]:
    """Opens the parts that `options` ask for; what trackers had to say is recorded."""
    with ExitStack() as stack:
        watchdog = _watchdog(plan, options, hosts, folder, record)
        stack.enter_context(watchdog.watching())
        checkpoints = None
        if options.save_checkpoints:
            checkpoints = Checkpoints(
                plan.folder / CHECKPOINTS,
                options.keep_checkpoints,
                observer.message,
                hosts,
            )
            stack.enter_context(closing(checkpoints))
        names = options.trackers if hosts.first else ()
        trackers = Trackers(names, observer.message)
        stack.callback(lambda: record.update(trackers=trackers.close()))
        yield TrialParts(folder, record, watch, watchdog, checkpoints, trackers)


def _watchdog(
    plan: TrialPlan,
    options: RunOptions,
    hosts: Hosts,
    folder: TrialFolder,
    record: dict[str, Any],
) -> Watchdog:
    """Ends this process if the trial hangs, and says so in its record."""

    def tell(hang: dict[str, Any]) -> None:
        record["hangs"].append(hang)
        folder.write_trial(record)

    timeout_s = options.step_timeout_s
    if hosts.first:
        return Watchdog(timeout_s, folder.path / FILE, tell)
    name = f"process_{jax.process_index()}_{FILE}"
    return Watchdog(timeout_s, plan.folder / name)
