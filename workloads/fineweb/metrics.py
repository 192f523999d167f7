"""Perplexity per token."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from algoperf.metrics import Measurement, Metrics, summed_ratios
from algoperf.spec import Batch, ForwardPassMode, Workload


def measure_tokens(
    workload: Workload, params: Any, model_state: Any, batch: Batch, rng: jax.Array
) -> Measurement:
    """Sum of the losses of a batch's tokens, and of their weights.

    `batch` has `inputs` and `targets` [batch, token], and `weights` of that shape or
    [batch].
    """
    logits, _ = workload.model_fn(
        params, batch, model_state, ForwardPassMode.EVAL, rng, update_batch_norm=False
    )
    loss = workload.loss_fn(batch["targets"], logits, batch["weights"])
    return {"loss": (loss["summed"], loss["n_valid_examples"])}


def summarize_tokens(measurements: Sequence[Measurement]) -> dict[str, float]:
    """`loss`, the mean over all tokens, and `ppl` = exp(loss)."""
    loss = summed_ratios(measurements)["loss"]
    with np.errstate(over="ignore"):  # a loss past 709 is a perplexity of infinity
        return {"loss": loss, "ppl": float(np.exp(loss))}


PERPLEXITY = Metrics(measure_tokens, summarize_tokens)
