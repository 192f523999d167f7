"""`algoperf run`: trains a submission on workloads, or continues it."""

import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from absl import flags

from algoperf.cli import cluster_flags, run_flags
from algoperf.cli.bundled import find_submission, search_space_beside
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.cli.reference_runtimes import read_reference_runtimes
from algoperf.cli.run_data import data_options, require_data
from algoperf.cli.run_values import seed_of
from algoperf.cluster import Cluster
from algoperf.data_options import DataOptions
from algoperf.facts import Facts, UserError
from workloads import catalog

USAGE = """algoperf run --workload=NAMES --submission_path=PATH [--flags]

Trains a submission and writes
<experiment_dir>/<experiment_name>/study_S/<workload>_jax/trial_N/.
The same line again continues: finished trials are skipped, a half-finished one
resumes from its last checkpoint."""

SELF_TUNING_FACTOR = 1.5
COMPILATION_CACHE = ".compilation_cache"


def main(argv: list[str]) -> int:
    """Runs every trial asked for; 0, 2 if a trial failed, 130 or 143 after a stop."""
    values = flags.FlagValues()
    run_flags.define(values)
    try:
        parse(values, USAGE, argv)
    except HelpShown:
        return 0
    run_flags.check(values)
    request = request_from(values)
    # From here on JAX is needed; everything that can be refused without it was.
    if values.dry_run:
        from algoperf.cli.preflight import options_from, run_preflight

        return run_preflight(request, options_from(values))
    if request.isolate != "off":
        from algoperf.cli.isolated import run_isolated

        return run_isolated(request)
    from algoperf.cli.experiment import run_experiment

    return run_experiment(request)


@dataclass(frozen=True)
class Request:
    """What a command line asks for, checked as far as that goes without JAX."""

    workloads: tuple[Facts, ...]
    submission: Path
    ruleset: str
    search_space: Path | None
    trials: int
    first_trial: int | None
    end_trial: int | None
    studies: tuple[int, ...]
    experiment: Path
    data_dir: Path | None
    data: DataOptions
    seed: int | None
    max_steps: int | None
    eval_every_steps: int | None
    eval_batch_size: int | None
    runtime_factor: float
    skip_evals: bool
    save_checkpoints: bool
    keep_checkpoints: int | None
    overwrite: bool
    profile: bool
    log_dynamics: bool
    style: Literal["auto", "jit", "pmap"]
    cluster: Cluster | None
    stop_when_beaten: bool
    stop_when_hopeless: bool
    reference_s: dict[str, float]
    charge_compile: bool
    compilation_cache: Path | None
    probe: Literal["off", "quick", "full"]
    trackers: tuple[str, ...]
    step_timeout_s: float
    checkpoint_every_s: float | None
    isolate: Literal["off", "process", "strict"]
    flags: dict[str, Any]

    def chosen(self, trials: Sequence[Any]) -> Sequence[Any]:
        """Of a study's trials those to run: --hparam_start_index up to the end."""
        return trials[self.first_trial : self.end_trial]


def request_from(values: flags.FlagValues, need_data: bool = True) -> Request:
    """Reads the flags of a command line; without `need_data`, data may be missing.

    Raises:
      UserError: a name or data does not exist, or flags contradict each other.
    """
    workloads = _workloads(values.workload)
    data_dir = _folder(values.data_dir) if values.data_dir else None
    require_data(values, workloads if need_data else (), data_dir)
    # Absolute, because a submission may change the working directory.
    submission = find_submission(values.submission_path).absolute()
    ruleset, search_space = _tuning(values, submission)
    experiment, studies = _experiment(values, submission)
    return Request(
        workloads=workloads,
        submission=submission,
        ruleset=ruleset,
        search_space=search_space,
        trials=_trials(values, ruleset),
        first_trial=values.hparam_start_index,
        end_trial=values.hparam_end_index,
        studies=studies,
        experiment=experiment,
        data_dir=data_dir,
        data=data_options(values),
        seed=seed_of(values.rng_seed),
        max_steps=values.max_global_steps,
        eval_every_steps=values.eval_every_steps,
        eval_batch_size=values.eval_batch_size,
        runtime_factor=_runtime_factor(values.max_runtime_factor, ruleset),
        skip_evals=values.skip_evals,
        save_checkpoints=values.save_checkpoints,
        keep_checkpoints=None if values.save_intermediate_checkpoints else 2,
        overwrite=values.overwrite,
        profile=values.profile or values.capture_jax_trace,
        log_dynamics=values.log_dynamics,
        style=values.submission_style,
        cluster=cluster_flags.cluster(values),
        stop_when_beaten=values.stop_when_beaten,
        stop_when_hopeless=values.stop_when_hopeless,
        reference_s=_reference_s(values.reference_runtimes),
        charge_compile=values.charge_compile,
        compilation_cache=_compilation_cache(values),
        probe=values.probe,
        trackers=run_flags.trackers(values),
        step_timeout_s=values.step_timeout,
        checkpoint_every_s=values.checkpoint_every_s,
        isolate=values.isolate,
        flags={name: values[name].value for name in values},
    )


def _workloads(given: str) -> tuple[Facts, ...]:
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise UserError("--workload is missing; `algoperf list` shows what there is.")
    return tuple(catalog.get(name) for name in dict.fromkeys(names))


def _reference_s(path: str | None) -> dict[str, float]:
    if path is None:
        return {}
    return read_reference_runtimes(Path(path).expanduser(), catalog.CATALOG)


def _trials(values: flags.FlagValues, ruleset: str) -> int:
    trials = values.num_tuning_trials
    if ruleset == "self" and trials != 1:
        raise UserError(
            f"--num_tuning_trials={trials} for a self-tuning submission: its studies "
            "have one trial. Leave the flag out, or give --tuning_search_space=FILE."
        )
    if not range(trials)[values.hparam_start_index : values.hparam_end_index]:
        given = [
            f"--{name}={values[name].value}"
            for name in ("hparam_start_index", "hparam_end_index")
            if values[name].value is not None
        ]
        raise UserError(
            f"{' and '.join(given)} leave(s) none of the {trials} trial(s) of "
            "--num_tuning_trials; indices count from 0 and the end is left out"
        )
    return trials


def _runtime_factor(given: float | None, ruleset: str) -> float:
    if given is None:
        return SELF_TUNING_FACTOR if ruleset == "self" else 1.0
    if not math.isfinite(given):
        raise UserError(f"--max_runtime_factor={given} is not a finite number >= 0.")
    return given


def _tuning(values: flags.FlagValues, submission: Path) -> tuple[str, Path | None]:
    """The ruleset and its search space; either may be given, or found."""
    given = values.tuning_search_space
    if values.tuning_ruleset == "self":
        if given:
            raise UserError(
                f"--tuning_search_space={given} with --tuning_ruleset=self: a "
                "self-tuning submission gets no hyperparameters. Leave one of them out."
            )
        return "self", None
    space = Path(given) if given else search_space_beside(submission)
    if space is not None:
        return "external", space
    if values.tuning_ruleset == "external":
        raise UserError(
            f"--tuning_ruleset=external needs a search space, and there is no "
            f"tuning_search_space.json beside {submission}. Give "
            "--tuning_search_space=FILE, or --tuning_ruleset=self."
        )
    return "self", None


def _experiment(
    values: flags.FlagValues, submission: Path
) -> tuple[Path, tuple[int, ...]]:
    """The submission's folder, and the studies to run in it."""
    name = values.experiment_name or submission_name(submission)
    named_study = re.fullmatch(r"(.+)/study_(\d+)", name.rstrip("/"))
    study = values.study_index
    if named_study:
        name = named_study[1]
        in_name = int(named_study[2])
        if study is not None and study != in_name:
            raise UserError(
                f"--experiment_name={values.experiment_name} and --study_index={study} "
                "name two studies. Leave one of them out."
            )
        study = in_name
    if values.append_timestamp:
        name += datetime.datetime.now().strftime("_%Y-%m-%d-%H-%M-%S")
    if study is not None and values.num_studies > 1:
        raise UserError(
            f"--num_studies={values.num_studies} runs several studies, study {study} "
            "is asked for too. Leave one of them out."
        )
    studies = range(values.num_studies) if study is None else (study,)
    return _folder(values.experiment_dir) / name, tuple(studies)


def _compilation_cache(values: flags.FlagValues) -> Path | None:
    given = values.compilation_cache_dir
    if given == "auto":
        # Not below the submission: evaluations are the same programs for all of them.
        return _folder(values.experiment_dir) / COMPILATION_CACHE
    return _folder(given) if given else None


def _folder(given: str) -> Path:
    return Path(given).expanduser().absolute()


def submission_name(path: Path) -> str:
    """What a submission is called: its file, or the folder of a submission.py."""
    resolved = path.resolve()
    if resolved.is_dir():
        return resolved.name
    return resolved.parent.name if resolved.stem == "submission" else resolved.stem
