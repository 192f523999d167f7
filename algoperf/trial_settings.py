"""How a trial is run, and what makes two runs of it the same trial."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.pmap_style import Style
from algoperf.study import TrialPlan
from algoperf.submission import Submission
from algoperf.trial_folder import CHECKPOINTS, TrialFolder, differences
from algoperf.workload import Workload


@dataclass(frozen=True)
class RunOptions:
    """How trials are run.

    `ruleset`, `limits`, `random_data` and `charge_compile` change what a trial is.
    """

    ruleset: str
    limits: Limits
    save_checkpoints: bool = True
    keep_checkpoints: int | None = 2  # None keeps all
    overwrite: bool = False
    profile: bool = False
    log_dynamics: bool = False
    flags: Mapping[str, Any] | None = None
    style: Style = "auto"
    eval_batch_size: int | None = None  # None: the submission's, or the workload's
    random_data: bool = False
    stop_when_beaten: bool = False
    stop_when_hopeless: bool = False
    reference_s: float | None = None  # None: no cap
    charge_compile: bool = True
    compilation_cache: Path | None = None  # None: as JAX is configured
    hardware: Mapping[str, float] | None = None  # what a probe of this machine found
    trackers: tuple[str, ...] = ()
    step_timeout_s: float = 0.0  # 0: never
    checkpoint_every_s: float | None = None  # None: at evaluations only


def settings_of(
    plan: TrialPlan, workload: Workload, submission: Submission, options: RunOptions
) -> dict[str, Any]:
    """What makes two runs of a trial the same trial, as plain JSON values."""
    return {
        "submission_source": submission.source_digest,
        "tuning_ruleset": options.ruleset,
        "hyperparameters": plan.point,
        "seed": plan.seed,
        "workload": workload.facts.rules(),
        "limits": asdict(options.limits),
        **({"data": "random"} if options.random_data else {}),
        **({} if options.charge_compile else {"charge_compile": False}),
    }


def earlier_record(
    folder: TrialFolder, settings: Mapping[str, Any], overwrite: bool
) -> dict[str, Any]:
    """The `trial.json` of an earlier run with the same settings, or nothing.

    Raises:
      UserError: the folder has a trial with other settings, or something else.
    """
    if overwrite:
        folder.clear()
    record = folder.read_trial()
    if record is None and not folder.evals.rows and not folder.has_record:
        return {}
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise UserError(
            f"{folder.path} holds something else than a trial of this program: its "
            f"{records.TRIAL} is missing or cannot be read. Give another "
            "--experiment_name, or --overwrite to delete it."
        )
    changed = differences(record["settings"], settings)
    if changed:
        raise UserError(
            f"{folder.path} was written with other settings:\n  "
            + "\n  ".join(changed)
            + "\nGive another --experiment_name, or --overwrite to delete it."
        )
    return record


def check_devices(
    folder: TrialFolder, record: Mapping[str, Any], now: Mapping[str, Any]
) -> list[str]:
    """What is not as it was when a trial that goes on was last run; for people.

    Other versions of the packages are allowed: results may differ in their last bits,
    and every process is in the record. Other devices are not, since the trial's seconds
    would be those of two machines.

    Args:
      record: of the earlier run, or nothing.
      now: this process, as `describe_environment` says.

    Raises:
      UserError: other devices.
    """
    environments = record.get("environments") or [{}]
    before = environments[-1]
    resumed = any((folder.path / CHECKPOINTS).glob("[0-9]*"))
    if not resumed or "devices" not in before or record.get("outcome") is not None:
        return []
    if before["devices"] != now["devices"]:
        raise UserError(
            f"{folder.path} was begun on {_counted(before['devices'])}, and here is "
            f"{_counted(now['devices'])}: its seconds would be those of two machines. "
            "Continue it on the same devices, give another --experiment_name, or "
            "--overwrite to begin again here."
        )
    changed = differences(before.get("packages", {}), now["packages"])
    return [f"other versions than before: {'; '.join(changed)}"] if changed else []


def _counted(devices: Sequence[str]) -> str:
    """`4 x NVIDIA H100`: devices by their kind."""
    kinds = dict.fromkeys(devices)
    return ", ".join(f"{devices.count(kind)} x {kind}" for kind in kinds) or "none"
