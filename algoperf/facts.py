"""What is fixed and public about a workload. Standard library only."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

Goal = Literal["max", "min"]
Scale = Literal["full", "mini"]
Split = Literal["train", "eval_train", "validation", "test"]
Presence = Literal["bundled", "prepared", "partial", "missing"]

EVAL_SPLITS: tuple[Split, ...] = ("eval_train", "validation", "test")


class UserError(Exception):
    """A mistake of the user's: shown as one message without a traceback."""


@dataclass(frozen=True)
class DataFiles:
    """The files a workload reads, as alternatives that each are enough.

    `folder` is the name below --data_dir; every alternative lists glob patterns
    relative to it, all of which have to match (`a|b`: one of the two). An empty
    `alternatives` means that the data comes with the package.
    """

    summary: str
    folder: str = ""
    alternatives: tuple[tuple[str, ...], ...] = ()
    how_to_get: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The rules of one workload. Times are submission seconds.

    A workload is evaluated every `eval_period_s` seconds (scale `full`) or every
    `eval_period_steps` steps (scale `mini`, so that step counts reproduce exactly);
    the other one is None.
    """

    name: str
    base: str
    scale: Scale
    metric: str
    goal: Goal
    validation_target: float
    test_target: float | None
    max_runtime_s: float
    step_hint: int
    loss: str
    batch_size: int
    eval_batch_size: int
    examples: Mapping[Split, int] = field(hash=False)
    data: DataFiles
    eval_period_s: float | None = None
    eval_period_steps: int | None = None
    model: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if (self.eval_period_s is None) == (self.eval_period_steps is None):
            raise ValueError(
                f"{self.name}: give eval_period_s or eval_period_steps, not both"
            )
        # Read-only views: facts are shared by every trial of a process.
        for name in ("examples", "model"):
            view = MappingProxyType(dict(getattr(self, name)))
            object.__setattr__(self, name, view)

    def reached_validation(self, value: float) -> bool:
        """Whether a validation metric is at least as good as the target."""
        return reached(value, self.validation_target, self.goal)

    def reached_test(self, value: float) -> bool:
        """Whether a test metric reaches its target; true if there is none."""
        return self.test_target is None or reached(value, self.test_target, self.goal)

    def as_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["examples"] = dict(self.examples)
        plain["model"] = dict(self.model)
        plain["data"] = self.data.summary
        return plain

    def rules(self) -> dict[str, Any]:
        """What decides a trial: the facts without the words that describe the data."""
        plain = self.as_dict()
        del plain["data"]
        return plain


def reached(value: float, target: float, goal: Goal) -> bool:
    """Whether `value` is at least as good as `target`: equality counts, NaN never."""
    if math.isnan(value):
        return False
    return value >= target if goal == "max" else value <= target


def closest(name: str, known: Iterable[str]) -> str:
    """'did you mean a or b? ', or nothing if no known name is close."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}? " if close else ""


def chosen(model: str, field: str, value: str, choices: Mapping[str, Any]) -> Any:
    """What a field of a model names.

    Raises:
      UserError: it names none of the choices.
    """
    if value in choices:
        return choices[value]
    raise UserError(
        f"{model} has no {field} {value!r}; {closest(value, choices)}it must be one of "
        f"{', '.join(choices)}. Change it in the workload's facts."
    )


def variant(base: Facts, suffix: str, **changes: Any) -> Facts:
    """A variant of a base workload: the same facts but for what is named.

    The suffix goes before `_mini`, so that `cifar_mini` has `cifar_gelu_mini`.
    """
    stem = base.name.removesuffix("_mini")
    tail = "_mini" if base.name.endswith("_mini") else ""
    return replace(base, name=f"{stem}_{suffix}{tail}", **changes)


def model_variant(
    base: Facts,
    suffix: str,
    fields: Mapping[str, Any],
    validation_target: float,
    test_target: float,
    **changes: Any,
) -> Facts:
    """A variant whose model has these fields besides its base's, and its targets."""
    return variant(
        base,
        suffix,
        model={**base.model, **fields},
        validation_target=validation_target,
        test_target=test_target,
        **changes,
    )


def index(facts: Iterable[Facts]) -> Mapping[str, Facts]:
    """A catalog by name; refuses two of a name and a base that is not there."""
    catalog: dict[str, Facts] = {}
    for row in facts:
        if row.name in catalog:
            raise ValueError(f"two workloads are called {row.name!r}")
        catalog[row.name] = row
    for row in catalog.values():
        if row.base not in catalog:
            raise ValueError(f"{row.name}: base {row.base!r} is not in the catalog")
    return MappingProxyType(catalog)
