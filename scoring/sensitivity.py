"""What a leaderboard hangs on: the same logs scored under rules a little different.

Every variation is scored by the whole rules: what counts, the best times and the
ratios are found anew.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Literal

import numpy as np

from algoperf.facts import Goal
from scoring.cube import (
    interpolated_seconds,
    seconds_to,
    steps_cube,
    study_gains,
    trial_cube,
)
from scoring.profiles import ranks
from scoring.rules import Rules, WorkloadRule
from scoring.scoreboard import Scoreboard

Kind = Literal[
    "leave one workload out",
    "without held-out workloads",
    "leave one submission out",
    "tau_max",
    "studies",
    "target",
    "interpolated times",
    "steps instead of seconds",
]

TAUS = tuple(float(tau) for tau in range(2, 11))
TARGET_CHANGE = 0.01
# Subsets of studies at most: all of them up to ten studies. With more, those that leave
# out the fewest.
MOST_SUBSETS = 1_022


@dataclass(frozen=True)
class Variation:
    """A leaderboard under other rules, against the one that counts.

    `inversions` are pairs (a, b) of which a was strictly above b and now is strictly
    below; `largest_change` is the change of score of the submission `of` that it is
    largest for. Submissions that were left out are in neither.
    """

    kind: Kind
    what: str
    scores: dict[str, float]
    ranks: dict[str, int]
    of: str
    largest_change: float
    inversions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Summary:
    """All variations of one kind: the worst of them, and every pair that inverts."""

    kind: Kind
    count: int
    largest: Variation
    inversions: tuple[tuple[str, str], ...]
    score_ranges: dict[str, tuple[float, float]]
    rank_ranges: dict[str, tuple[int, int]]


def variations(board: Scoreboard) -> tuple[Variation, ...]:
    """Every variation of a leaderboard, kind by kind."""
    names = board.ratios.rows
    cube = trial_cube(board.runtimes, names, board.rules).min(axis=-1)
    scenarios = itertools.chain(
        _without_a_workload(cube, names, board.rules),
        _without_held_outs(cube, names, board.rules),
        _without_a_submission(cube, names, board.rules),
        _other_tau_max(cube, names, board.rules),
        _fewer_studies(cube, names, board.rules),
        _other_targets(board, cube),
        _other_measures(board),
    )
    base = {entry.submission: entry.score for entry in board.entries}
    return tuple(_compared(base, *one, board.by_trapezoid) for one in scenarios)


def summaries(found: Iterable[Variation]) -> tuple[Summary, ...]:
    """The variations by kind."""
    by_kind: dict[Kind, list[Variation]] = {}
    for variation in found:
        by_kind.setdefault(variation.kind, []).append(variation)
    return tuple(_summary(kind, own) for kind, own in by_kind.items())


# kind, what, [submissions, needed workloads, studies], the submissions, the rules
_Scenario = tuple[Kind, str, np.ndarray, Sequence[str], Rules]


def _without_a_workload(
    cube: np.ndarray, names: Sequence[str], rules: Rules
) -> Iterator[_Scenario]:
    for rule in rules.workloads:
        if len(rules.workloads) > 1:
            left = rules.only(name for name in rules.names if name != rule.name)
            columns = [rules.needed.index(own) for own in left.needed]
            what = f"without {rule.name}"
            yield "leave one workload out", what, cube[:, columns], names, left


def _without_held_outs(
    cube: np.ndarray, names: Sequence[str], rules: Rules
) -> Iterator[_Scenario]:
    kind: Kind = "without held-out workloads"
    for rule in rules.held_out:
        left = replace(rules, held_out=tuple(r for r in rules.held_out if r != rule))
        columns = [rules.needed.index(own) for own in left.needed]
        yield kind, f"without {rule.name}", cube[:, columns], names, left
    if rules.held_out:
        none = replace(rules, held_out=())
        yield kind, "without any", cube[:, : len(rules.workloads)], names, none


def _without_a_submission(
    cube: np.ndarray, names: Sequence[str], rules: Rules
) -> Iterator[_Scenario]:
    for row, name in enumerate(names):
        if len(names) > 1:
            left = [other for other in names if other != name]
            fewer = np.delete(cube, row, axis=0)
            yield "leave one submission out", f"without {name}", fewer, left, rules


def _other_tau_max(
    cube: np.ndarray, names: Sequence[str], rules: Rules
) -> Iterator[_Scenario]:
    for tau in TAUS:
        # What is within tau_max of the best must not be taken out as too far.
        other = replace(rules, tau_max=tau, far_factor=max(tau, rules.far_factor))
        yield "tau_max", f"tau_max {tau:g}", cube, names, other


def _fewer_studies(
    cube: np.ndarray, names: Sequence[str], rules: Rules
) -> Iterator[_Scenario]:
    left = MOST_SUBSETS
    for count in reversed(range(1, rules.studies)):
        left -= comb(rules.studies, count)
        if left < 0 and count < rules.studies - 1:
            return
        for chosen in itertools.combinations(range(rules.studies), count):
            what = f"only studies {', '.join(map(str, chosen))}"
            yield "studies", what, cube[..., list(chosen)], names, rules


def _other_targets(board: Scoreboard, cube: np.ndarray) -> Iterator[_Scenario]:
    rules, names = board.rules, board.ratios.rows
    for column, rule in enumerate(rules.needed):
        for change in (-TARGET_CHANGE, TARGET_CHANGE):
            target = rule.validation_target * (1 + change)
            other = cube.copy()
            other[:, column] = _study_seconds_at(board, rule, target, rule.goal)
            what = f"{rule.name} target {change:+.0%} ({target:.6g})"
            yield "target", what, other, names, rules


def _study_seconds_at(
    board: Scoreboard, rule: WorkloadRule, target: float, goal: Goal
) -> np.ndarray:
    alone = board.rules.alone(rule)
    measure = seconds_to(target, goal)
    cube = trial_cube(board.runtimes, board.ratios.rows, alone, measure)
    return cube.min(axis=-1)[:, 0]


def _other_measures(board: Scoreboard) -> Iterator[_Scenario]:
    rules, names = board.rules, board.ratios.rows
    cube = trial_cube(board.runtimes, names, rules, interpolated_seconds)
    what = "target crossed between evaluations"
    yield "interpolated times", what, cube.min(axis=-1), names, rules
    steps = steps_cube(board.runtimes, names, rules)
    if steps is not None:
        yield "steps instead of seconds", "the fewest steps", steps, names, rules


def _compared(
    base: dict[str, float],
    kind: Kind,
    what: str,
    cube: np.ndarray,
    names: Sequence[str],
    rules: Rules,
    by_trapezoid: bool,
) -> Variation:
    found = study_gains(cube, rules, by_trapezoid).mean(axis=-1)
    scores = dict(zip(names, found.tolist(), strict=True))
    changes = {name: scores[name] - base[name] for name in names}
    of = max(names, key=lambda name: abs(changes[name]))
    before = np.array([base[name] for name in names])
    inverted = (before[:, None] > before) & (found[:, None] < found)
    pairs = np.argwhere(inverted).tolist()
    inversions = tuple((names[above], names[below]) for above, below in pairs)
    places = dict(zip(names, ranks(found), strict=True))
    return Variation(kind, what, scores, places, of, changes[of], inversions)


def _summary(kind: Kind, own: list[Variation]) -> Summary:
    names = sorted({name for variation in own for name in variation.scores})

    scores = {name: [v.scores[name] for v in own if name in v.scores] for name in names}
    places = {name: [v.ranks[name] for v in own if name in v.ranks] for name in names}
    return Summary(
        kind,
        len(own),
        max(own, key=lambda variation: abs(variation.largest_change)),
        tuple(sorted({pair for variation in own for pair in variation.inversions})),
        {name: (min(found), max(found)) for name, found in scores.items()},
        {name: (min(found), max(found)) for name, found in places.items()},
    )
