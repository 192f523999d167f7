"""What is odd about the logs, and what it did to the score."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Effect = Literal[
    "nothing",
    "row ignored",
    "folder ignored",
    "ruleset assumed",
    "time counted as written",
    "counted as not reached",
]


@dataclass(frozen=True, order=True)
class HealthNote:
    """One irregularity of the logs.

    `where` is a path below the submission directory, `what` says the kind in words
    that are equal for equal kinds (a report counts them), `detail` gives the values.
    """

    where: str
    what: str
    effect: Effect
    detail: str = ""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.where}: {self.what}{detail}; effect: {self.effect}"


def harmful(notes: Iterable[HealthNote]) -> tuple[HealthNote, ...]:
    """The notes that touched what is scored: those that --strict refuses."""
    return tuple(note for note in notes if note.effect != "nothing")


def by_kind(
    notes: Iterable[HealthNote],
) -> dict[tuple[Effect, str], tuple[HealthNote, ...]]:
    """Notes by (effect, what): those that touched the score first, then by name."""
    groups: dict[tuple[Effect, str], list[HealthNote]] = {}
    for note in sorted(notes):
        groups.setdefault((note.effect, note.what), []).append(note)
    ordered = sorted(groups, key=lambda kind: (kind[0] == "nothing", kind))
    return {kind: tuple(groups[kind]) for kind in ordered}
