"""Whether a trial will miss its target, by its learning curve: a guess, not a rule.

Learning curves gain about as much from one doubling of the time to the next, or less.
So what the last doubling gained, times the doublings that are left, is about the most
that is still to come; it is doubled to be careful. A schedule that makes its gain at
its very end (a rate that falls late) can still be misjudged.
"""

import math
from collections.abc import Sequence

from algoperf.facts import Facts
from algoperf.limits import Limits
from algoperf.progress import Progress

# No guess before a quarter of the budget, or from fewer evaluations.
LEAST_SHARE, LEAST_EVALUATIONS = 0.25, 8
OPTIMISM = 2.0


def forecast(curve: Sequence[tuple[float, float]]) -> float | None:
    """The value at the end of the budget that a trial will hardly exceed.

    Args:
      curve: (share of the budget in (0, 1], value) of each evaluation, in order; more
        is better.

    Returns:
      None where it is too early to say.
    """
    if len(curve) < LEAST_EVALUATIONS or curve[-1][0] < LEAST_SHARE:
        return None
    now = curve[-1][0]
    earlier = [value for share, value in curve if share <= now / 2]
    if not earlier:
        return None
    best = max(value for _, value in curve)
    doublings = math.log2(1 / min(now, 1.0))
    return best + OPTIMISM * (best - max(earlier)) * doublings


def predicted_value(facts: Facts, limits: Limits, progress: Progress) -> float | None:
    """`forecast` of a trial's validation metric, in the metric's own direction."""
    sign = 1 if facts.goal == "max" else -1
    curve = [
        (
            max(
                values["accumulated_submission_time"] / limits.max_runtime_s,
                step / (limits.max_steps or math.inf),
            ),
            sign * values[f"validation/{facts.metric}"],
        )
        for step, values in progress.eval_results
    ]
    found = forecast(curve)
    return None if found is None else sign * found
