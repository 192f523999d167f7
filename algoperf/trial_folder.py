"""One trial's folder: opens it, locks it, and writes its records."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.facts import UserError
from algoperf.file_lock import FileLock, Held
from algoperf.progress import Progress

CHECKPOINTS = "checkpoints"  # the folder of a trial's checkpoints, within its own

# Where a setting comes from, if its name does not say it.
_FLAGS = {
    "max_steps": "--max_global_steps",
    "eval_every_steps": "--eval_every_steps",
    "max_runtime_s": "--max_runtime_factor",
    "skip_evals": "--skip_evals",
    "seed": "--rng_seed",
    "charge_compile": "--charge_compile",
    "submission_source": "a hash of the submission's files",
}


class TrialFolder:
    """Where one trial writes; only one process at a time may hold it.

    Raises:
      UserError: the folder cannot be made or written, or another process holds it.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / records.LOCK)
            records.remove_unfinished(path)
        except Held as who:
            raise UserError(
                f"{path} is being run by {who}; wait for it, stop it, or give another "
                "--experiment_name"
            ) from None
        except OSError as error:
            raise cannot_write(path, error) from error
        self.evals = records.CsvLog(path / records.EVALS)
        self.measurements = records.CsvLog(path / records.MEASUREMENTS)

    def close(self) -> None:
        """Lets other processes have the folder."""
        self._lock.close()

    def clear(self) -> None:
        """Removes everything an earlier run wrote (for --overwrite)."""
        for item in self.path.iterdir():
            if item.name == records.LOCK:
                continue
            shutil.rmtree(item) if item.is_dir() else os.unlink(item)
        self.evals = records.CsvLog(self.path / records.EVALS)
        self.measurements = records.CsvLog(self.path / records.MEASUREMENTS)

    @property
    def has_record(self) -> bool:
        """Whether there is a `trial.json`, readable or not."""
        return (self.path / records.TRIAL).exists()

    def read_trial(self) -> dict[str, Any] | None:
        """What `trial.json` says, or None for a new folder."""
        return records.read_json(self.path / records.TRIAL)

    def write_trial(self, content: Mapping[str, Any]) -> None:
        """Replaces `trial.json`."""
        records.write_json(self.path / records.TRIAL, content)

    def write_start(
        self,
        preemption_count: int,
        hyperparameters: Mapping[str, Any] | None,
        meta_data: Mapping[str, Any],
        flags: Mapping[str, Any],
    ) -> None:
        """The files AlgoPerf writes when a trial starts, one set per preemption."""
        if hyperparameters is not None:
            records.write_json(self.path / "hparams.json", hyperparameters)
        records.write_json(self.path / f"meta_data_{preemption_count}.json", meta_data)
        records.write_json(self.path / f"flags_{preemption_count}.json", flags)

    def rewind(self, progress: Progress) -> None:
        """Takes out the rows that a trial resumed at `progress` will write again."""
        for log, rows, name in (
            (self.evals, progress.eval_rows, records.EVALS),
            (self.measurements, progress.measurement_rows, records.MEASUREMENTS),
        ):
            log.rewind(rows, self.path / f"superseded_{name}")

    def append_evaluation(
        self, progress: Progress, logged: Sequence[Mapping[str, Any]]
    ) -> None:
        """One row in each CSV file for the latest evaluation, after what was logged."""
        step, values = progress.eval_results[-1]
        row = {
            **values,
            records.STEP: step,
            "preemption_count": progress.preemption_count,
        }
        # AlgoPerf's columns are in alphabetical order in the one file only.
        self.evals.append([dict(sorted(row.items()))])
        self.measurements.append(logged)
        self.measurements.append([row])

    def append_end(self, progress: Progress) -> None:
        """The last row of `measurements.csv`."""
        self.measurements.append(
            [
                {
                    "score": progress.seconds.submission,
                    records.STEP: progress.step,
                    "preemption_count": progress.preemption_count,
                }
            ]
        )


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turns what goes wrong with the disk into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error for a folder that is not writable, full, or not a folder."""
    return UserError(
        f"cannot write to {path}: {error.strerror or error}. Make room or give another "
        "--experiment_dir; what was written is kept, and the same command line goes on "
        "from there."
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """`name: old value -> new value` for everything in which two settings differ."""
    # Through JSON, so that tuples and lists, 1 and 1.0, compare as they are stored.
    old, new = json.loads(json.dumps(old)), json.loads(json.dumps(new))
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += [f"{name}.{line}" for line in differences(before, after)]
        elif before != after:
            flag = f" ({_FLAGS[name]})" if name in _FLAGS else ""
            lines.append(f"{name}{flag}: {before} there, {after} now")
    return lines
