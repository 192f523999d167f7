"""What a sweep is asked to run: the keys of a plan file, checked."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algoperf.facts import UserError, closest

FlagValue = str | int | float | bool

KEYS = (
    "experiment_dir",
    "submissions",
    "workloads",
    "studies",
    "trials",
    "seed",
    "run",
    "slurm",
)
SUBMISSION_KEYS = ("path", "name", "tuning_ruleset", "tuning_search_space")
# Flags of `algoperf run` that are a sweep's to set -> what says it instead.
SET_BY_SWEEP = {
    "workload": "`workloads`",
    "submission_path": "`submissions`",
    "tuning_ruleset": "`tuning_ruleset` of a submission",
    "tuning_search_space": "`tuning_search_space` of a submission",
    "num_tuning_trials": "`trials`",
    "num_studies": "`studies`",
    "study_index": "`studies`",
    "hparam_start_index": "`trials`",
    "hparam_end_index": "`trials`",
    "rng_seed": "`seed`",
    "experiment_dir": "`experiment_dir`",
    "experiment_name": "`name` of a submission",
    "append_timestamp": "`name` of a submission",
    "overwrite": "another `experiment_dir`, or --retry_failed",
}
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Entry:
    """One submission as a plan names it; None is left to `algoperf run`."""

    path: str
    name: str | None = None
    tuning_ruleset: str | None = None
    tuning_search_space: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The content of a plan, of the right types; names are not looked up yet.

    `studies` are the numbers of the studies, `trials` how many an external study
    has. `flags` go to every `algoperf run`, `flags_for[name]` to those of one
    workload or submission. `slurm` holds options of sbatch.
    """

    experiment_dir: str
    submissions: tuple[Entry, ...]
    workloads: tuple[str, ...]
    studies: tuple[int, ...] = (0,)
    trials: int = 1
    seed: int | None = None
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    flags_for: Mapping[str, Mapping[str, FlagValue]] = field(default_factory=dict)
    slurm: Mapping[str, FlagValue] = field(default_factory=dict)


def read_plan_file(path: Path) -> dict[str, Any]:
    """The keys and values of a TOML file.

    Raises:
      UserError: there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the plan {path}: {error.strerror}.") from None
    except ValueError as error:  # TOMLDecodeError, or not UTF-8
        raise UserError(f"{path} is not a TOML file: {error}.") from None


def plan_of(values: Mapping[str, Any], where: str) -> Plan:
    """Checks the keys and types of a plan.

    Args:
      values: those of a plan file, with what flags changed.
      where: the name of the file, for errors.

    Raises:
      UserError: a key or value that is not allowed, or one that is missing.
    """
    _known(values, KEYS, where)
    for key in ("submissions", "workloads"):
        if not values.get(key):
            raise UserError(
                f"{where} names no {key}: give `{key} = [...]` in the plan, or "
                f"--{key}=A,B; `algoperf list` shows what there is."
            )
    workloads = tuple(dict.fromkeys(_texts(values["workloads"], "workloads", where)))
    entries = _listed(values["submissions"], "submissions", where)
    flags, flags_for = _run_flags(values.get("run", {}), where)
    return Plan(
        experiment_dir=_text(
            values.get("experiment_dir", "experiments"), "experiment_dir", where
        ),
        submissions=tuple(_entry(entry, where) for entry in entries),
        workloads=workloads,
        studies=_studies(values.get("studies", 1), where),
        trials=_whole(values.get("trials", 1), "trials", where, 1),
        seed=None
        if values.get("seed") is None
        else _whole(values["seed"], "seed", where, 0, MAX_SEED),
        flags=flags,
        flags_for=flags_for,
        slurm=_table(values.get("slurm", {}), "slurm", where),
    )


def flag_words(flags: Mapping[str, FlagValue]) -> tuple[str, ...]:
    """Flags as words of a command line."""
    return tuple(
        (f"--{name}" if value else f"--no{name}")
        if isinstance(value, bool)
        else f"--{name}={value}"
        for name, value in flags.items()
    )


def _known(table: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise UserError(
                f"{where} has no key {key!r}; {closest(key, allowed)}"
                f"Keys: {', '.join(allowed)}."
            )


def _entry(value: Any, where: str) -> Entry:
    if isinstance(value, str):
        return Entry(value)
    if not isinstance(value, Mapping) or "path" not in value:
        raise UserError(
            f"{where}: submissions has {value!r}; it must be a name, a path, or a "
            'table such as {path = "adamw", name = "adamw_wide"}.'
        )
    _known(value, SUBMISSION_KEYS, f"{where}: a submission")
    return Entry(
        **{key: _text(v, f"submissions.{key}", where) for key, v in value.items()}
    )


def _run_flags(
    run: Any, where: str
) -> tuple[dict[str, FlagValue], dict[str, dict[str, FlagValue]]]:
    """The flags for all tasks, and those for one workload or submission."""
    if not isinstance(run, Mapping):
        raise UserError(f"{where}: run = {run!r} must be a table: [run].")
    own = {key: value for key, value in run.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in run.items() if isinstance(value, Mapping)}
    flags = _table(own, "run", where)
    flags_for = {
        name: _table(table, f"run.{name}", where) for name, table in tables.items()
    }
    for table in (flags, *flags_for.values()):
        for name in table:
            bare = name if name in SET_BY_SWEEP else name.removeprefix("no")
            if bare in SET_BY_SWEEP:
                raise UserError(
                    f"{where}: --{name} is set by the sweep; give "
                    f"{SET_BY_SWEEP[bare]} instead."
                )
    return flags, flags_for


def _table(table: Any, key: str, where: str) -> dict[str, FlagValue]:
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: {key} = {table!r} must be a table: [{key}].")
    for name, value in table.items():
        if not isinstance(value, str | int | float | bool):
            raise UserError(
                f"{where}: {key}.{name} = {value!r} must be a text, a number, true or "
                "false."
            )
    return dict(table)


def _listed(value: Any, key: str, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise UserError(f'{where}: {key} = {value!r} must be a list: ["a", "b"].')
    return list(value)


def _texts(value: Any, key: str, where: str) -> list[str]:
    return [_text(item, key, where) for item in _listed(value, key, where)]


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{where}: {key} has {value!r}; it must be a text in quotes.")
    return value


def _studies(value: Any, where: str) -> tuple[int, ...]:
    """A number of studies, or a list of their numbers."""
    if isinstance(value, list | tuple) and value:
        numbers = [_whole(item, "studies", where, 0) for item in value]
        return tuple(sorted(set(numbers)))
    return tuple(range(_whole(value, "studies", where, 1)))


def _whole(
    value: Any, key: str, where: str, lowest: int, highest: int | None = None
) -> int:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= lowest
    if fits and (highest is None or value <= highest):
        return value
    allowed = f"{lowest} or more" if highest is None else f"from {lowest} to {highest}"
    raise UserError(f"{where}: {key} = {value!r} must be a whole number, {allowed}.")
