"""Trains a workload for a few steps on the devices of this process: a line of JSON.

usage: python tests/train_on_devices.py FOLDER WORKLOAD
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
from fakes import Quiet

from algoperf.data_options import DataOptions
from algoperf.facts import EVAL_SPLITS
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.catalog import CATALOG
from workloads.loading import build

STEPS, EVALUATED = 4, 96
# Without division by small second moments, which would enlarge differences of rounding.
SUBMISSION = '''
"""Gradient descent, clipped."""
import optax
from algoperf.optax_submission import optax_submission

get_batch_size, init_optimizer_state, update_params = optax_submission(
    lambda hyperparameters, step_hint: optax.chain(
        optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9)
    )
)
'''


class Watch(Quiet):
    """Keeps the last evaluation."""

    values: dict[str, float]

    def evaluated(self, progress):
        measured = progress.eval_results[-1][1]
        self.values = {k: v for k, v in measured.items() if "/" in k}


def main(folder: Path, name: str) -> None:
    source = folder / "sgd.py"
    source.write_text(SUBMISSION)
    plan = TrialPlan(0, 1, 11, None, folder / f"trial_{jax.device_count()}")
    limits = Limits(max_runtime_s=1e9, max_steps=STEPS)
    options = RunOptions("self", limits, save_checkpoints=False)
    watch = Watch()
    facts = CATALOG[name]
    few = {split: min(facts.examples[split], EVALUATED) for split in EVAL_SPLITS}
    few = {split: count for split, count in few.items() if count}
    workload = build(replace(facts, examples=facts.examples | few), None, DataOptions())
    trial = TrialRun(plan, workload, source, options, watch)
    record = trial.run(StopRequest())
    assert record["steps"] == STEPS, record["error"]
    print(json.dumps({name: watch.values}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
