"""A small finewebedu_lm on random tokens, and what it measures.

python tests/small_language_model.py 3 17 prints its metrics by batch size.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import tiny_gpt2

from algoperf.data_options import DataOptions
from algoperf.facts import Facts
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.loading import build

VOCAB_SIZE, LENGTH = 61, 8
FACTS: Facts = replace(
    CATALOG["finewebedu_lm"],
    examples={"train": 64, "eval_train": 13, "validation": 17, "test": 0},
    batch_size=8,
    eval_batch_size=16,
    model={
        "vocab_size": VOCAB_SIZE,
        "width": 16,
        "depth": 1,
        "num_heads": 2,
        "mlp_dim": 24,
        "context_length": LENGTH,
        "compute_dtype": "bfloat16",
    },
)


def write_tokens(folder: Path) -> None:
    """train.bin and val.bin, just enough, of tokens that depend on those before."""
    random = np.random.default_rng(0)
    steps = random.choice([1, 2, 5], size=64 * (LENGTH + 1))
    tokens = np.cumsum(steps) % VOCAB_SIZE
    tiny_gpt2.write_flat(folder, tokens, tokens[::-1][: 17 * (LENGTH + 1)])


def small_workload(folder: Path) -> Workload:
    return build(FACTS, folder, DataOptions())


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        write_tokens(Path(name))
        workload = small_workload(Path(name))
        params, state = workload.init_model_fn(jax.random.PRNGKey(0))
        params = jax.tree.map(lambda leaf: 3 * leaf, params)
        key = jax.random.PRNGKey(1)
        for size in sys.argv[1:]:
            print(json.dumps(workload.eval_model(int(size), params, state, key)))


if __name__ == "__main__":
    main()
