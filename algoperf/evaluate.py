"""One pass over every split: {metric: value}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
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
    splits: list[Split] = [s for s in EVAL_SPLITS if workload.facts.examples.get(s)]
    summaries: list[Future[dict[str, float]]] = []
    # What the host makes of a split (word errors, BLEU, a ranking) takes seconds, in
    # which the devices measure the next one.
    with ThreadPoolExecutor(1, thread_name_prefix="summarize") as pool:
        for split in splits:
            batches = workload.batches(split, _batch_size(workload, batch_size))
            # The results stay on the device until the pass is over.
            parts: list[Any] = []
            progressed()
            for i, batch in enumerate(batches):
                progressed()
                key = jax.random.fold_in(rng, i)
                parts.append(workload.measure(params, model_state, batch, key))
                if i >= _IN_FLIGHT:
                    jax.block_until_ready(parts[i - _IN_FLIGHT])
            summaries.append(pool.submit(_summary, workload, parts))
    results: dict[str, float] = {}
    for split, summary in zip(splits, summaries, strict=True):
        prefix = _PREFIX[split]
        values = summary.result()
        results |= {f"{prefix}/{name}": value for name, value in values.items()}
        if split != "eval_train":
            results[f"{prefix}/num_examples"] = workload.facts.examples[split]
    return results


def _batch_size(workload: Workload, wanted: int | None) -> int:
    devices = jax.device_count()
    return -(-(wanted or workload.facts.eval_batch_size) // devices) * devices


def _summary(workload: Workload, parts: list[Any]) -> dict[str, float]:
    return workload.metrics.summarize(jax.device_get(parts))
