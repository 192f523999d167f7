"""Click workloads with small models and few clicks.

usage: python tests/small_clicks.py EVAL_BATCH_SIZE ...

Prints what evaluations with these sizes measure: a line of JSON for each workload.
"""

import json
import sys
from dataclasses import replace

import jax

from algoperf.data_options import DataOptions
from algoperf.evaluate import evaluate
from algoperf.facts import Facts
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.criteo.workload import build

EXAMPLES = {"train": 60, "eval_train": 13, "validation": 17, "test": 9}
_DLRM = {
    "vocab_size": 64,
    "embed_dim": 4,
    "bottom_dims": [8, 6, 4],
    "top_dims": [8, 8, 6, 4, 1],
    "embed_init_scale": 1.0,
}
MODELS = {
    "criteo1tb": _DLRM,
    "criteo1tb_layernorm": _DLRM | {"layer_norm": True},
    "criteo1tb_resnet": _DLRM
    | {"architecture": "resnet", "bottom_dims": [6, 6, 6], "top_dims": [6, 6, 6, 6, 1]},
}


def small_facts(name: str) -> Facts:
    """The facts of a full workload with a small model."""
    return replace(CATALOG[name], model=MODELS[name])


def small(name: str) -> Workload:
    """A small workload of generated clicks."""
    facts = replace(small_facts(name), examples=EXAMPLES)
    return build(facts, None, DataOptions())


def main(sizes: list[str]) -> None:
    for name in MODELS:
        workload = small(name)
        params, state = workload.init_model_fn(jax.random.PRNGKey(0))
        key = jax.random.PRNGKey(1)
        measured = {
            size: evaluate(workload, params, state, key, int(size)) for size in sizes
        }
        print(json.dumps({name: measured}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
