"""The rules of each benchmark version, as data: what is scored, and against what."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from algoperf.facts import Facts, Goal, UserError, closest
from workloads.catalog import CATALOG

Ruleset = Literal["external", "self"]


@dataclass(frozen=True)
class WorkloadRule:
    """A workload's target, and its budget in submission seconds.

    `base` is the workload that a held-out variant guards, equal to `name` for a
    workload that is scored itself.
    """

    name: str
    base: str
    metric: str
    goal: Goal
    validation_target: float
    max_runtime_s: float

    @property
    def column(self) -> str:
        """The column of eval_measurements.csv that is compared with the target."""
        return f"validation/{self.metric}"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """One version of the scoring rules.

    `workloads` are scored; `held_out` variants only guard their base workload;
    `optional` ones count nowhere unless `only` names them. `far_factor`: a time
    above this many times the best of its workload counts as not reached.
    """

    name: str
    workloads: tuple[WorkloadRule, ...]
    held_out: tuple[WorkloadRule, ...] = ()
    optional: tuple[WorkloadRule, ...] = ()
    studies: int = 3
    trials_external: int = 5
    trials_self: int = 1
    self_tuning_budget_factor: float = 1.5
    tau_max: float = 4.0
    far_factor: float = 4.0
    restricted: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the scored workloads."""
        return tuple(rule.name for rule in self.workloads)

    @property
    def needed(self) -> tuple[WorkloadRule, ...]:
        """Every workload whose logs are read: the scored and the held-out ones."""
        return self.workloads + self.held_out

    def alone(self, rule: WorkloadRule) -> "Rules":
        """These rules for one workload, with no variant to guard it."""
        return replace(self, workloads=(rule,), held_out=(), optional=())

    def trials(self, ruleset: Ruleset) -> int:
        """How many trials a study of one workload has."""
        return self.trials_external if ruleset == "external" else self.trials_self

    def budget_s(self, workload: WorkloadRule, ruleset: Ruleset) -> float:
        """Submission seconds a trial may use; later rows do not count."""
        factor = self.self_tuning_budget_factor if ruleset == "self" else 1.0
        return workload.max_runtime_s * factor

    def only(self, names: Iterable[str]) -> "Rules":
        """These rules for some workloads alone.

        Raises:
          UserError: a name that these rules do not know.
        """
        known = {rule.name: rule for rule in self.workloads + self.optional}
        wanted = tuple(dict.fromkeys(names))
        for name in wanted:
            if name not in known:
                raise UserError(
                    f"rules {self.name!r} have no workload {name!r}; "
                    f"{closest(name, known)}All: {', '.join(known)}."
                )
        return replace(
            self,
            workloads=tuple(rule for name, rule in known.items() if name in wanted),
            held_out=tuple(rule for rule in self.held_out if rule.base in wanted),
            optional=(),
            restricted=self.restricted or set(self.names) != set(wanted),
        )


def get_rules(name: str) -> Rules:
    """The rules of a version; the error lists the versions."""
    if name == "mini":
        return _mini_rules(CATALOG.values())
    if name in PUBLISHED:
        return PUBLISHED[name]
    raise UserError(
        f"no scoring rules {name!r}; {closest(name, VERSIONS)}"
        f"--rules takes one of: {', '.join(VERSIONS)}."
    )


def versions_with(workload: str) -> tuple[str, ...]:
    """The rule versions that score a workload, or know it as held out or optional."""
    return tuple(
        version
        for version in VERSIONS
        for rules in (get_rules(version),)
        if workload in {rule.name for rule in rules.needed + rules.optional}
    )


def _mini_rules(catalog: Iterable[Facts]) -> Rules:
    rows = tuple(facts for facts in catalog if facts.scale == "mini")
    return Rules(
        name="mini",
        workloads=tuple(_of_facts(row) for row in rows if row.base == row.name),
        optional=tuple(_of_facts(row) for row in rows if row.base != row.name),
    )


def _of_facts(facts: Facts) -> WorkloadRule:
    return WorkloadRule(
        facts.name,
        facts.base,
        facts.metric,
        facts.goal,
        facts.validation_target,
        facts.max_runtime_s,
    )


# The published versions are written out instead of read from the catalog: published
# logs must score the same whatever becomes of the workloads here.
_METRICS: dict[str, tuple[str, Goal]] = {
    "criteo1tb": ("loss", "min"),
    "fastmri": ("ssim", "max"),
    "imagenet_resnet": ("accuracy", "max"),
    "imagenet_vit": ("accuracy", "max"),
    "librispeech_conformer": ("wer", "min"),
    "librispeech_deepspeech": ("wer", "min"),
    "ogbg": ("mean_average_precision", "max"),
    "wmt": ("bleu", "max"),
    "finewebedu_lm": ("ppl", "min"),
}
_TARGETS = {
    "criteo1tb": 0.123735,
    "fastmri": 0.723653,
    "imagenet_resnet": 0.77431,
    "imagenet_vit": 0.77309,
    "librispeech_conformer": 0.085884,
    "librispeech_deepspeech": 0.119936,
    "ogbg": 0.28098,
    "wmt": 30.8491,
    "finewebedu_lm": 22.2995,
}
_HELD_OUT_V05 = {
    "criteo1tb": ("criteo1tb_embed_init", 0.129657),
    "fastmri": ("fastmri_tanh", 0.71784),
    "imagenet_resnet": ("imagenet_resnet_large_bn_init", 0.76526),
    "librispeech_conformer": ("librispeech_conformer_layernorm", 0.09731),
    "ogbg": ("ogbg_model_size", 0.269446),
    "wmt": ("wmt_glu_tanh", 29.5779),
}
# Seconds, in the order of _TARGETS: 8xV100 (v0.5, v0.6) and 4xA100 (a100).
_BUDGETS_V05 = (7_703, 8_859, 63_008, 77_520, 61_068, 55_506, 18_477, 48_151)
_BUDGETS_V06 = (7_703, 4_430, 66_159, 69_768, 58_015, 44_405, 12_011, 43_336)
_BUDGETS_A100 = (8_915, 2_745, 49_918, 64_292, 43_680, 36_949, 11_303, 16_114, 31_967)


def _published(budgets: tuple[int, ...]) -> tuple[WorkloadRule, ...]:
    # The newest workload is last, so that the older versions stop before it.
    return tuple(
        WorkloadRule(name, name, *_METRICS[name], target, float(budget))
        for (name, target), budget in zip(_TARGETS.items(), budgets, strict=False)
    )


def _held_out(workloads: tuple[WorkloadRule, ...]) -> tuple[WorkloadRule, ...]:
    return tuple(
        replace(base, name=name, validation_target=target)
        for base in workloads
        if base.name in _HELD_OUT_V05
        for name, target in (_HELD_OUT_V05[base.name],)
    )


PUBLISHED = {
    "v0.5": Rules(
        name="v0.5",
        workloads=_published(_BUDGETS_V05),
        held_out=_held_out(_published(_BUDGETS_V05)),
        studies=5,
        self_tuning_budget_factor=3.0,
    ),
    "v0.6": Rules(name="v0.6", workloads=_published(_BUDGETS_V06)),
    "a100": Rules(name="a100", workloads=_published(_BUDGETS_A100)),
}
VERSIONS = ("mini", *PUBLISHED)
