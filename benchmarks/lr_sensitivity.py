"""How a submission's loss depends on its learning rate, at several widths.

Trains finewebedu_lm_mini with every rate at every width and prints the validation loss
at the end, and the learning rate sensitivity of Wortsman et al. (2023), section 2: the
mean, over rates spread evenly in logarithm, of min(loss, first loss) minus the best
loss. It is 0 for a submission whose rate does not matter. Submissions compare if the
range is the same number of decades around each one's optimum.

  python benchmarks/lr_sensitivity.py --submission=nadamw_external --steps=500
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from calibrate import Run, trained

from algoperf.cli.bundled import bundled_submissions, search_space_beside
from algoperf.facts import Facts, UserError
from algoperf.tuning import read_search_space, study_points
from workloads.catalog import CATALOG

WORKLOAD = "finewebedu_lm_mini"
METRIC = "validation/loss"
BAR = 40  # characters of the longest bar


def sensitivity(losses: Sequence[float], first: float) -> float:
    """Expected deviation from the best loss; what diverged counts as the first loss."""
    clipped = [min(loss, first) if math.isfinite(loss) else first for loss in losses]
    return float(np.mean(clipped) - min(clipped))


def first_point(submission: str) -> dict[str, Any]:
    """The first point of a submission's search space.

    Raises:
      UserError: it has none, or no learning rate in it.
    """
    space = search_space_beside(bundled_submissions()[submission])
    points = [] if space is None else study_points(read_search_space(space), 1)
    if not points or not hasattr(points[0], "learning_rate"):
        raise UserError(
            f"{submission} has no learning_rate in a search space; choose a submission "
            "of submissions/external_tuning that has."
        )
    return points[0]._asdict()


def of_width(width: int, steps: int) -> Facts:
    """The workload with heads of the same size and MLPs in the same ratio."""
    facts = CATALOG[WORKLOAD]
    model = dict(facts.model)
    factor = width / model["width"]
    for name in ("width", "num_heads", "mlp_dim"):
        model[name] = max(round(model[name] * factor), 1)
    return replace(
        facts,
        model=model,
        step_hint=steps,
        eval_period_steps=steps,
        validation_target=-math.inf,
    )


def loss_of(
    facts: Facts, submission: str, point: dict[str, Any], steps: int, seed: int
) -> tuple[float, float]:
    """Validation loss after the first step, and at the end (NaN if it diverged)."""
    run = Run(facts.name, submission, point, seed)
    found = [metrics.get(METRIC, math.nan) for metrics in trained(facts, run, steps)]
    return found[0], found[-1] if len(found) > 1 else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--submission", default="nadamw_external")
    parser.add_argument("--widths", default="48,96")
    parser.add_argument("--low", type=float, default=3e-4, help="lowest rate")
    parser.add_argument("--high", type=float, default=0.3, help="highest rate")
    parser.add_argument("--rates", type=int, default=7)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    point = first_point(flags.submission)
    rates = np.geomspace(flags.low, flags.high, flags.rates)
    for width in map(int, flags.widths.split(",")):
        facts = of_width(width, flags.steps)
        print(f"{flags.submission}, width {width}, {flags.steps:,} steps", flush=True)
        losses, first = [], math.nan
        for rate in map(float, rates):
            chosen = point | {"learning_rate": rate}
            first, loss = loss_of(
                facts, flags.submission, chosen, flags.steps, flags.seed
            )
            share = loss / first
            bar = "#" * round(BAR * min(share, 1.0)) if math.isfinite(share) else ""
            print(f"  {rate:9.2e}  {loss:7.4f}  {bar or 'diverged'}", flush=True)
            losses.append(loss)
        if not np.isfinite(losses).any():
            print("  every rate diverged", flush=True)
            continue
        print(
            f"  best {np.nanmin(losses):.4f} at {rates[np.nanargmin(losses)]:.2e}, "
            f"sensitivity {sensitivity(losses, first):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
