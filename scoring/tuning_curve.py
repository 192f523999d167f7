"""Score against the number of tuning trials: what a smaller tuning budget would give.

For each submission on its own, in expectation over every choice of m of the planned
trials, drawn for each study and workload independently; the others keep all of theirs.
Exact: no sampling. With all trials it is the score of the leaderboard.
"""

from dataclasses import dataclass
from math import comb

import numpy as np

from scoring.cube import median_gains, trial_cube
from scoring.profiles import medians
from scoring.scoreboard import Scoreboard


@dataclass(frozen=True)
class TuningCurve:
    """`scores[m - 1]` is the expected score with m tuning trials."""

    submission: str
    scores: tuple[float, ...]


def tuning_curves(board: Scoreboard) -> tuple[TuningCurve, ...]:
    """Of every submission, best first as on the leaderboard."""
    names = board.submissions
    cube = trial_cube(board.runtimes, names, board.rules)
    observed = medians(cube.min(axis=-1))
    return tuple(
        TuningCurve(
            name,
            tuple(
                _expected_score(board, cube, observed, row, trials)
                for trials in range(
                    1, board.rules.trials(board.logs.rulesets[name]) + 1
                )
            ),
        )
        for row, name in enumerate(names)
    )


def _expected_score(
    board: Scoreboard, cube: np.ndarray, observed: np.ndarray, row: int, trials: int
) -> float:
    rules = board.rules
    planned = rules.trials(board.logs.rulesets[board.submissions[row]])
    place = {rule.name: column for column, rule in enumerate(rules.needed)}
    total = 0.0
    for rule in rules.workloads:
        # A workload's share of the score hangs on its own column and on that of its
        # held-out variant, if it has one: every pair of their values is scored.
        own = rules.only([rule.name])
        columns = [place[one.name] for one in own.needed]
        drawn = [
            median_distribution(cube[row, column, :, :planned], trials)
            for column in columns
        ]
        grid = np.meshgrid(*(values for values, _ in drawn), indexing="ij")
        chances = np.meshgrid(*(chance for _, chance in drawn), indexing="ij")
        scenarios = np.repeat(observed[None][..., columns], grid[0].size, axis=0)
        scenarios[:, row] = np.stack([values.ravel() for values in grid], axis=-1)
        gained = median_gains(scenarios, own, board.by_trapezoid)[:, row, 0]
        total += float(gained @ np.prod(chances, axis=0).ravel())
    return total / len(rules.workloads)


def median_distribution(
    trials: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The median over studies of the fastest of `count` trials drawn in each study.

    Args:
      trials: times, infinite where not reached, [studies, trials].
      count: how many trials are drawn in each study, without replacement.

    Returns:
      The values the median can have, and their probabilities.
    """
    support = np.unique(trials)
    within = _fastest_within(trials, count, support)
    middle = len(trials) // 2
    at_least = _counts(within, 1 - within)
    if len(trials) % 2:
        # The median is within t if more than half of the studies are.
        return support, np.diff(at_least[middle + 1 :].sum(axis=0), prepend=0.0)
    # Of an even number it is the mean of the middle two, of which the lower is within
    # s and the upper above t >= s if just half of the studies are within s and the
    # others above t.
    split = _counts(within[:, :, None], 1 - within[:, None, :])[middle]
    split = np.triu(np.pad(split, ((1, 0), (0, 0))), k=-1)
    chances = np.triu(-np.diff(np.diff(split, axis=0), axis=1, prepend=0.0), k=1)
    lower = np.diff(at_least[middle:].sum(axis=0), prepend=0.0)
    chances += np.diag(lower - chances.sum(axis=1))
    means = (support[:, None] + support) / 2
    return means.ravel(), chances.ravel()


def _fastest_within(trials: np.ndarray, count: int, support: np.ndarray) -> np.ndarray:
    """P(fastest of `count` drawn trials <= t), [studies, support].

    1 - C(slower than t, count) / C(all, count).
    """
    slower = (trials[:, :, None] > support).sum(axis=1)
    ways = [comb(number, count) for number in range(trials.shape[1] + 1)]
    return 1 - np.array(ways, dtype=float)[slower] / comb(trials.shape[1], count)


def _counts(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """P(k studies are inside and all others outside), [studies + 1, ...] for each k.

    The Poisson binomial distribution if the two make up everything.
    """
    shape = np.broadcast_shapes(inside.shape[1:], outside.shape[1:])
    found = np.zeros((len(inside) + 1, *shape))
    found[0] = 1.0
    for own_inside, own_outside in zip(inside, outside, strict=True):
        moved = found[:-1] * own_inside
        found *= own_outside
        found[1:] += moved
    return found
