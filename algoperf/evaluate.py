"""One pass over every split: {metric: value}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax

from algoperf.facts import EVAL_SPLITS, Split

if TYPE_CHECKING:
    from algoperf.workload import Workload

# AlgoPerf calls the evaluated part of the training set `train` in its logs.
_PREFIX: Mapping[Split, str] = {
    "eval_train": "train",
    "validation": "validation",
    "test": "test",
}
# Batches that the host may be ahead of the devices: enough that these never wait, and
# few, because every one of them takes memory there.
_IN_FLIGHT = 2


def evaluate(
    workload: Workload,
    params: Any,
    model_state: Any,
    rng: jax.Array,
    batch_size: int | None = None,
    progressed: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """All metrics of all splits, keyed `train/loss`, `validation/accuracy`, ...

    Every example counts once on any number of devices: batches are padded to a
    multiple of the device count and padding has weight 0. The default batch size
    is the workload's. `progressed` is called before every batch.
    """
    devices = jax.device_count()
    wanted = batch_size or workload.facts.eval_batch_size
    rounded = -(-wanted // devices) * devices
    results: dict[str, float] = {}
    for split in EVAL_SPLITS:
        if not workload.facts.examples.get(split):
            continue
        parts: list[Any] = []
        progressed()
        for i, batch in enumerate(workload.batches(split, rounded)):
            progressed()
            key = jax.random.fold_in(rng, i)
            # The results stay on the device until the pass is over.
            parts.append(workload.measure(params, model_state, batch, key))
            if i >= _IN_FLIGHT:
                jax.block_until_ready(parts[i - _IN_FLIGHT])
        values = workload.metrics.summarize(jax.device_get(parts))
        prefix = _PREFIX[split]
        results |= {f"{prefix}/{name}": value for name, value in values.items()}
        if split != "eval_train":
            results[f"{prefix}/num_examples"] = workload.facts.examples[split]
    return results
