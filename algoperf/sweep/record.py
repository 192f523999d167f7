"""What a sweep writes down before anything starts: its seed, and what it will run."""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.facts import UserError
from algoperf.sweep.scan import TrialState
from algoperf.sweep.tasks import Sweep, Task

FOLDER = ".sweep"
FILE = "plan.json"


def agreed_seed(experiment_dir: Path, seed: int | None) -> int:
    """The seed of all studies of an experiment folder, written before any task runs.

    Of sweeps that start at once the first one names it, and later ones keep it.

    Raises:
      UserError: the folder has another seed, or cannot be written.
    """
    wanted = secrets.randbits(32) if seed is None else seed
    file = experiment_dir / FOLDER / FILE
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        records.create_json(file, {"seed": wanted, "plans": []})
    except OSError as error:
        raise UserError(
            f"cannot write to {experiment_dir}: {error.strerror}. Give another "
            "--experiment_dir."
        ) from None
    written = _read(experiment_dir)["seed"]
    if seed is not None and written != seed:
        raise UserError(
            f"{experiment_dir} is a sweep with seed {written}, not {seed}. Leave the "
            "seed out to continue it, or give another --experiment_dir."
        )
    return written


def seeds_before(
    experiment_dir: Path, names: Iterable[str], workloads: Iterable[str], studies: Any
) -> dict[tuple[str, str, int], int]:
    """The seeds of studies that were begun before, also by `algoperf run` alone."""
    found: dict[tuple[str, str, int], int] = {}
    for name in names:
        if not (experiment_dir / name).is_dir():
            continue
        for workload in workloads:
            for study in studies:
                folder = records.workload_folder(experiment_dir / name, study, workload)
                plan = records.read_json(folder.with_suffix(".json"))
                seed = plan.get("experiment_seed") if isinstance(plan, dict) else None
                if isinstance(seed, int):
                    found[name, workload, study] = seed
    return found


def write_plan(sweep: Sweep) -> None:
    """Adds the sweep to those of its folder, for `status`."""
    content = _read(sweep.experiment_dir)
    expected = sweep.expected()
    if expected not in content["plans"]:
        plans = [*content["plans"], expected]
        file = sweep.experiment_dir / FOLDER / FILE
        records.write_json(file, content | {"plans": plans})


def expected_tasks(experiment_dir: Path) -> Iterator[Task]:
    """The trials that the sweeps of a folder planned, without repetition."""
    seen: set[Task] = set()
    for plan in _read(experiment_dir)["plans"]:
        for study in plan["studies"]:
            for workload in plan["workloads"]:
                for row in plan["submissions"]:
                    for trial in range(1, row["trials"] + 1):
                        task = Task(row["name"], workload, study, trial)
                        if task not in seen:
                            seen.add(task)
                            yield task


def missing(
    tasks: Iterable[Task], states: Mapping[Task, TrialState], retry_failed: bool
) -> list[Task]:
    """The tasks that are left to run: not over, or failed if those are to be tried."""
    never = TrialState()
    return [
        task
        for task in tasks
        for outcome in (states.get(task, never).outcome,)
        if outcome is None or (retry_failed and outcome == "failed")
    ]


def set_aside(sweep: Sweep, task: Task) -> None:
    """Moves a failed trial out of the way, so that it starts again from nothing."""
    folder = sweep.folder(task)
    below = folder.relative_to(sweep.experiment_dir)
    aside = sweep.experiment_dir / FOLDER / "failed" / below
    number = 0
    while aside.with_name(f"{folder.name}_{number}").exists():
        number += 1
    aside.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(aside.with_name(f"{folder.name}_{number}"))
    with contextlib.suppress(FileNotFoundError):
        os.rename(sweep.log(task), aside.with_name(f"{folder.name}_{number}.log"))


def _read(experiment_dir: Path) -> dict[str, Any]:
    file = experiment_dir / FOLDER / FILE
    content = records.read_json(file)
    if content is None and not file.exists():
        return {"seed": None, "plans": []}
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("seed"), int)
        or not isinstance(content.get("plans"), list)
    ):
        raise UserError(
            f"{file} is damaged: it does not hold a seed and plans. Delete it: "
            "finished trials stay finished, and studies keep the seeds they have."
        )
    return content
