"""ogbg with little of everything on a tiny prepared data set.

usage: python tests/small_graphs.py FOLDER EVAL_BATCH_SIZE ...

Prints what evaluations with these sizes measure after three steps of training: a line
of JSON.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tiny_molpcba as tiny

from algoperf.data_options import DataOptions
from algoperf.evaluate import evaluate
from algoperf.spec import ForwardPassMode
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.ogbg.workload import build

MODEL = {"hidden_dims": [8], "latent_dim": 8, "num_message_passing_steps": 1}
KEY = jax.random.PRNGKey(0)


def small(folder: Path | None, name: str = "ogbg", **changes: Any) -> Workload:
    """A full workload with a small model and few examples."""
    fields = dict(CATALOG[name].model) | MODEL
    facts = replace(CATALOG[name], examples=tiny.EXAMPLES, model=fields, **changes)
    return build(facts, folder, DataOptions(random=folder is None))


def perturbed(workload: Workload) -> Any:
    """Params none of which is as it starts, so that all of them matter."""
    random = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: leaf + random.uniform(0, 0.2, leaf.shape).astype(np.float32),
        workload.init_model_fn(KEY)[0],
    )


def gradient_norm(workload: Workload, params: Any) -> float:
    """Of the mean loss of the second training batch of 16, with dropout."""

    @jax.jit
    def loss(params: Any, batch: Any) -> jax.Array:
        logits, _ = workload.model_fn(
            params, batch, None, ForwardPassMode.TRAIN, KEY, update_batch_norm=True
        )
        found = workload.loss_fn(batch["targets"], logits, batch["weights"])
        return found["summed"] / found["n_valid_examples"]

    batch = next(workload.batches("train", 16, seed=1, position=1))
    gradients = jax.grad(loss)(params, batch)
    return float(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(gradients)))


def main(folder: str, sizes: list[str]) -> None:
    workload = small(Path(folder))
    params = perturbed(workload)
    measured: dict[str, Any] = {
        size: evaluate(workload, params, None, KEY, int(size)) for size in sizes
    }
    measured["gradient"] = gradient_norm(workload, params)
    print(json.dumps(measured))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
