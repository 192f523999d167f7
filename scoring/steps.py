"""The same leaderboard in steps instead of seconds: no machine, only the algorithm."""

from dataclasses import dataclass

from scoring.cube import steps_cube
from scoring.profiles import (
    Table,
    benchmark_scores,
    filtered_times,
    medians,
    performance_ratios,
    ranks,
    trapezoid_scores,
)
from scoring.scoreboard import Scoreboard


@dataclass(frozen=True)
class StepBoard:
    """Scores from steps: the fewest of each study, then the rules as for seconds.

    Budgets are still seconds. Tables: submissions by workloads, the medians with the
    held-out workloads.
    """

    medians: Table
    ratios: Table
    scores: dict[str, float]
    ranks: dict[str, int]


def score_steps(board: Scoreboard) -> StepBoard | None:
    """None if the logs lack steps of targets that were reached (`steps_cube`)."""
    names, rules = board.ratios.rows, board.rules
    steps = steps_cube(board.runtimes, names, rules)
    if steps is None:
        return None
    columns = tuple(rule.name for rule in rules.needed)
    found = Table(names, columns, medians(steps))
    ratios = performance_ratios(filtered_times(found, rules))
    score = trapezoid_scores if board.by_trapezoid else benchmark_scores
    scores = score(ratios, rules.tau_max)
    return StepBoard(
        found,
        ratios,
        dict(zip(names, scores.tolist(), strict=True)),
        dict(zip(names, ranks(scores), strict=True)),
    )
