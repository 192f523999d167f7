"""wmt with a small model: facts, parameters, sentences."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
from plain_vision import random_like

from algoperf.data_options import DataOptions
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.wmt.tokenizers import END
from workloads.wmt.transformer import Transformer
from workloads.wmt.workload import build

FIELDS = {"vocab_size": 512, "width": 8, "depth": 2, "num_heads": 2, "mlp_dim": 12}
VARIANTS = {
    "base": {},
    "post_ln": {"post_ln": True},
    "attention_temp": {"attention_temp": 4.0},
    "glu_tanh": {"glu": True, "activation": "tanh"},
}
EXAMPLES = {"train": 300, "eval_train": 9, "validation": 13, "test": 7}


def small_mini(**fields: Any) -> Workload:
    """wmt_mini with a smaller model and fewer sentences."""
    facts = replace(CATALOG["wmt_mini"], examples=EXAMPLES, model=FIELDS | fields)
    return build(facts, None, DataOptions())


def model_of(vocab_size: int = 11, **fields: Any) -> Transformer:
    return Transformer(**FIELDS | {"vocab_size": vocab_size} | fields)


def random_params(model: Transformer, seed: int = 0, scale: float = 0.3) -> Any:
    """Parameters none of which is as it starts, so that all of them matter."""
    tokens = np.ones((1, 3), np.int32)
    shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), tokens, tokens)
    return random_like(shapes["params"], seed, scale)


def sentences(count: int, vocab_size: int = 11, seed: int = 0, longest: int = 6):
    """Random sentences with an end, as arrays."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest, count)
    return [np.append(random.integers(3, vocab_size, n), END) for n in lengths]


def padded(rows, length: int) -> np.ndarray:
    """int32 [row, length], with zeros after each row's tokens."""
    return np.stack(
        [np.pad(row, (0, length - len(row))).astype(np.int32) for row in rows]
    )


def perturbed(workload: Workload) -> Any:
    """Parameters under which other sources have other translations."""
    params, _ = workload.init_model_fn(jax.random.PRNGKey(0))
    random = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: leaf + random.uniform(0, 0.2, leaf.shape).astype(np.float32),
        params,
    )
