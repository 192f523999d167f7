"""Image workloads with little of everything, and parameters that answer differently.

usage: python tests/small_vision.py EVAL_BATCH_SIZE ...

Prints, for each workload, what evaluations with these sizes measure, and what they
should measure ("by hand"): a line of JSON.
"""

import json
import sys
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from algoperf.data_options import DataOptions
from algoperf.evaluate import evaluate
from algoperf.facts import EVAL_SPLITS
from algoperf.spec import ForwardPassMode
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.imagenet.workload import build_resnet, build_vit

EXAMPLES = {"train": 40, "eval_train": 13, "validation": 17, "test": 9}
_BUILD = {
    "imagenet_resnet_mini": (
        build_resnet,
        {"stage_sizes": [1], "num_filters": 4, "num_classes": 20, "stem": "cifar"},
    ),
    "imagenet_vit_mini": (
        build_vit,
        {
            "width": 8,
            "depth": 1,
            "mlp_dim": 16,
            "num_heads": 2,
            "patch_size": 8,
            "num_classes": 20,
        },
    ),
}
NAMES = tuple(_BUILD)


def small(name: str) -> Workload:
    """A mini image workload with a smaller model and fewer examples."""
    build, model = _BUILD[name]
    facts = replace(CATALOG[name], examples=EXAMPLES, model=model)
    return build(facts, None, DataOptions(threads=1))


def perturbed(workload: Workload) -> tuple[Any, Any]:
    """Params and model state; no leaf is as it starts, so that all of them matter."""
    random = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: leaf + random.uniform(0, 0.2, leaf.shape).astype(np.float32),
        workload.init_model_fn(jax.random.PRNGKey(0)),
    )


def by_hand(workload: Workload, params: Any, state: Any) -> dict[str, float]:
    """Loss and accuracy in float64, from the logits of one batch without padding."""
    splits = [
        next(workload.data.batches(split, EXAMPLES[split], 0)) for split in EVAL_SPLITS
    ]
    batch = jax.tree.map(lambda *parts: np.concatenate(parts), *splits)
    assert workload.finish is not None
    finished = workload.finish(batch)
    forward = jax.jit(
        lambda params, state: workload.model_fn(
            params,
            finished,
            state,
            ForwardPassMode.EVAL,
            jax.random.PRNGKey(0),
            update_batch_norm=False,
        )
    )
    logits = np.asarray(forward(params, state)[0], np.float64)
    labels = batch["targets"]
    losses = np.logaddexp.reduce(logits, axis=1) - logits[range(len(labels)), labels]
    hits = np.argmax(logits, axis=1) == labels
    values, end = {"spread": float(logits.std(axis=0).max())}, 0
    for split, prefix in zip(EVAL_SPLITS, ("train", "validation", "test"), strict=True):
        part = slice(end, end := end + EXAMPLES[split])
        values[f"{prefix}/loss"] = float(losses[part].mean())
        values[f"{prefix}/accuracy"] = float(hits[part].mean())
    return values


def main(sizes: list[str]) -> None:
    for name in NAMES:
        workload = small(name)
        variables = perturbed(workload)
        key = jax.random.PRNGKey(1)
        measured = {
            size: evaluate(workload, *variables, key, int(size)) for size in sizes
        }
        measured["by hand"] = by_hand(workload, *variables)
        print(json.dumps({name: measured}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
