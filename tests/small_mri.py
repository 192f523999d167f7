"""A fastMRI workload with little of everything, and what it should measure.

usage: python tests/small_mri.py EVAL_BATCH_SIZE ...

Prints what evaluations with these sizes measure, and what they should ("by hand"): a
line of JSON.
"""

import json
import sys
from dataclasses import replace

import jax
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from small_vision import EXAMPLES, perturbed

from algoperf.data_options import DataOptions
from algoperf.evaluate import evaluate
from algoperf.facts import EVAL_SPLITS
from algoperf.spec import ForwardPassMode
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.fastmri.workload import build

NAME = "fastmri_mini"


def small() -> Workload:
    """The mini workload with a smaller model and fewer slices."""
    model = {"num_channels": 2, "num_pool_layers": 2}
    facts = replace(CATALOG[NAME], examples=EXAMPLES, model=model)
    return build(facts, None, DataOptions(threads=1))


def similarity(image: np.ndarray, other: np.ndarray, largest: float) -> float:
    """Of two images, by the definition, in float64, window by window."""
    x, y = (
        sliding_window_view(one.astype(np.float64), (7, 7)).reshape(-1, 49)
        for one in (image, other)
    )
    c1, c2 = (0.01 * largest) ** 2, (0.03 * largest) ** 2
    mx, my = x.mean(axis=1), y.mean(axis=1)
    covariance = np.sum((x - mx[:, None]) * (y - my[:, None]), axis=1) / 48
    luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    spread = x.var(axis=1, ddof=1) + y.var(axis=1, ddof=1) + c2
    return float(np.mean(luminance * (2 * covariance + c2) / spread))


def by_hand(workload: Workload, params) -> dict[str, float]:
    """Similarity and loss of every split, from outputs of a batch without padding."""
    values = {}
    for split, prefix in zip(EVAL_SPLITS, ("train", "validation", "test"), strict=True):
        raw = next(workload.data.batches(split, EXAMPLES[split], 0))
        assert workload.finish is not None
        batch = workload.finish(raw)
        outputs, _ = workload.model_fn(
            params,
            batch,
            None,
            ForwardPassMode.EVAL,
            jax.random.PRNGKey(0),
            update_batch_norm=False,
        )
        found = np.asarray(outputs, np.float64)
        values[f"{prefix}/loss"] = float(np.mean(np.abs(found - batch["targets"])))
        scale = np.asarray(batch["std"], np.float64)[:, None, None]
        shift = np.asarray(batch["mean"], np.float64)[:, None, None]
        targets = np.asarray(batch["targets"], np.float64) * scale + shift
        pairs = zip(found * scale + shift, targets, raw["volume_max"], strict=True)
        values[f"{prefix}/ssim"] = float(np.mean([similarity(*p) for p in pairs]))
    return values


def main(sizes: list[str]) -> None:
    workload = small()
    params, _ = perturbed(workload)
    key = jax.random.PRNGKey(1)
    found = {size: evaluate(workload, params, None, key, int(size)) for size in sizes}
    found["by hand"] = by_hand(workload, params)
    print(json.dumps({NAME: found}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
