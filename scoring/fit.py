"""Whether the rules fit the logs: a wrong version is reported, never guessed."""

from dataclasses import dataclass
from pathlib import Path

from scoring.load import Logs
from scoring.rules import PUBLISHED, Rules, versions_with


@dataclass(frozen=True)
class Misfit:
    """What logs and rules do not have in common."""

    lacking: tuple[str, ...]
    foreign: tuple[str, ...]
    studies: int
    planned: int

    @property
    def size(self) -> int:
        """0 for a perfect fit."""
        return len(self.lacking) + len(self.foreign) + (self.studies != self.planned)

    def __str__(self) -> str:
        parts = []
        if self.studies != self.planned:
            parts.append(f"{self.studies} studies found, {self.planned} planned")
        if self.lacking:
            parts.append(f"no logs of {', '.join(self.lacking)}")
        if self.foreign:
            parts.append(f"not scored: {', '.join(self.foreign)}")
        return "; ".join(parts)


def misfit(rules: Rules, logs: Logs) -> Misfit:
    """What is in the rules and not in the logs, and the other way round.

    Workloads that no rules know are no misfit: the health table has them.
    """
    needed = {rule.name for rule in rules.needed}
    known = {rule.name for own in PUBLISHED.values() for rule in own.needed}
    optional = {rule.name for rule in rules.optional}
    foreign = (logs.workloads_seen & known) - needed - optional
    return Misfit(
        tuple(sorted(needed - logs.workloads_seen)),
        tuple(sorted(foreign)),
        len(logs.studies_seen),
        rules.studies,
    )


def better_rules(rules: Rules, logs: Logs) -> str:
    """A warning that names the published rules that fit better; '' if none do.

    Not for rules that the user changed or wrote: those are wanted as they are.
    """
    if PUBLISHED.get(rules.name) != rules:
        return ""
    own = misfit(rules, logs)
    others = {name: misfit(other, logs) for name, other in PUBLISHED.items()}
    best = min(others, key=lambda name: others[name].size)
    if others[best].size >= own.size:
        return ""
    return f"rules {rules.name} do not fit these logs ({own}); --rules={best} " + (
        "fits" if others[best].size == 0 else f"fits better ({others[best]})"
    )


def no_common_workload(root: Path, rules: Rules, logs: Logs) -> str:
    """The message for logs without a single workload that counts."""
    seen = sorted(logs.workloads_seen)
    text = (
        f"{root} has no logs of a workload that rules {rules.name!r} score here "
        f"({', '.join(rules.names)}); "
    )
    if not seen:
        return text + (
            "found no workload folders at all. Expected: <submission>/study_0/"
            "<workload>_jax/trial_1/eval_measurements.csv."
        )
    versions = sorted({version for name in seen for version in versions_with(name)})
    fix = f"--rules={' or --rules='.join(versions)} know some" if versions else ""
    return text + f"found: {', '.join(seen)}. {fix or 'No rules know these'}."
