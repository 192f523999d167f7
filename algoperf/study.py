"""A study: the trials of one submission on one workload, planned before the first."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import records
from algoperf.cluster import Alone, Hosts
from algoperf.facts import Facts, UserError
from algoperf.trial_folder import TrialFolder, cannot_write, differences


@dataclass(frozen=True)
class TrialPlan:
    """One trial, known before the first one starts. Studies count from 0, trials
    from 1, as in AlgoPerf's folder names."""

    study: int
    trial: int
    seed: int
    hyperparameters: Any  # a namedtuple; None under the self-tuning ruleset
    folder: Path

    @property
    def point(self) -> dict[str, Any] | None:
        """The hyperparameters as a plain dict."""
        return None if self.hyperparameters is None else self.hyperparameters._asdict()

    @property
    def title(self) -> str:
        """`adamw digits study 0 trial 1`: what people call it."""
        workload = self.folder.parent.name.removesuffix(f"_{records.FRAMEWORK}")
        experiment = self.folder.parents[2].name
        return f"{experiment} {workload} study {self.study} trial {self.trial}"


def trial_seed(experiment_seed: int, study: int, trial: int) -> int:
    """The seed of a trial, in [0, 2**32), from NumPy's stable SeedSequence."""
    sequence = np.random.SeedSequence(experiment_seed, spawn_key=(study, trial))
    return int(sequence.generate_state(1)[0])


def plan_study(
    experiment: Path,
    facts: Facts,
    study: int,
    points: Sequence[Any],
    seed: int | None,
    overwrite: bool = False,
    hosts: Hosts | None = None,
) -> list[TrialPlan]:
    """Lists the trials of a study and writes the list beside their folders.

    Without a seed the study keeps the one it was first given, and a new study draws
    one: running the same line again continues the same trials.

    Args:
      experiment: the folder of one submission, `<experiment_dir>/<experiment_name>`.
      points: the hyperparameters of each trial, or None for each.
      seed: the experiment's, or None.
      overwrite: whether another seed may replace the one the study has.
      hosts: the processes of the run; the first one writes.

    Raises:
      UserError: the study has another seed, or the folder cannot be written.
    """
    file = records.workload_folder(experiment, study, facts.name).with_suffix(".json")
    hosts = hosts or Alone()
    experiment_seed = hosts.agree(lambda: _experiment_seed(file, seed, overwrite))
    plans = [
        TrialPlan(
            study,
            trial,
            trial_seed(experiment_seed, study, trial),
            point,
            records.trial_folder(experiment, study, facts.name, trial),
        )
        for trial, point in enumerate(points, 1)
    ]
    if hosts.first:
        _write(file, experiment_seed, plans, overwrite)
    return plans


def _write(file: Path, seed: int, plans: list[TrialPlan], overwrite: bool) -> None:
    listed = [
        {"trial": p.trial, "seed": p.seed, "hyperparameters": p.point} for p in plans
    ]
    if overwrite:
        for plan in plans:
            TrialFolder(plan.folder).close()  # refused while another process runs it
    else:
        listed = _continued(file, listed)
    try:
        records.write_json(file, {"experiment_seed": seed, "trials": listed})
    except OSError as error:
        raise cannot_write(file.parent, error) from error


def _continued(file: Path, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The list, longer if an earlier one was; both begin with the same trials."""
    before = (records.read_json(file) or {}).get("trials", [])
    changed = [
        f"trial {new['trial']}: {line}"
        for old, new in zip(before, listed, strict=False)
        for line in differences(old, new)
    ]
    if changed:
        raise UserError(
            f"{file.with_suffix('')} was planned with other settings:\n  "
            + "\n  ".join(changed)
            + "\nGive another --experiment_name, or --overwrite to delete it."
        )
    return listed + before[len(listed) :]


def _experiment_seed(file: Path, seed: int | None, overwrite: bool) -> int:
    """The seed asked for, else the one in the study's file, else a new one."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Of two processes that start a study at once, the first one names the seed.
        wanted = secrets.randbits(32) if seed is None else seed
        records.create_json(file, {"experiment_seed": wanted, "trials": []})
        plan = records.read_json(file)
    except OSError as error:
        raise cannot_write(file.parent, error) from error
    written = plan.get("experiment_seed") if isinstance(plan, dict) else None
    trials = plan.get("trials") if isinstance(plan, dict) else None
    if overwrite:
        # Without a seed the study keeps the one it has.
        return written if isinstance(written, int) and seed is None else wanted
    if not isinstance(written, int) or not isinstance(trials, list):
        raise UserError(
            f"{file} is not the plan of a study; give another --experiment_name, or "
            "--overwrite to replace it"
        )
    if seed is None:
        return written
    if written != seed:
        raise UserError(
            f"{file.with_suffix('')} was written with --rng_seed={written}, not "
            f"{seed}. Leave the flag out to continue, give another --experiment_name, "
            "or --overwrite to delete it."
        )
    return seed
