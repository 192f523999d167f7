"""How hard each example of a batch is: for submissions that choose their data."""

from typing import Any

import jax
import jax.numpy as jnp

from algoperf import spec


def el2n(
    workload: spec.Workload, params: Any, model_state: Any, batch: Any, rng: jax.Array
) -> jax.Array:
    """EL2N scores, [examples] (Paul et al., 2021, "Deep Learning on a Data Diet").

    The norm of softmax(logits) - one-hot(target) where an example has one class; the
    loss of the example, summed over what it consists of, elsewhere.
    """
    logits, _ = workload.model_fn(
        params, batch, model_state, spec.ForwardPassMode.EVAL, rng, False
    )
    targets = batch["targets"]
    if isinstance(logits, jax.Array) and logits.ndim == 2 and targets.ndim == 1:
        wanted = jax.nn.one_hot(targets, logits.shape[-1])
        return jnp.linalg.norm(jax.nn.softmax(logits) - wanted, axis=-1)
    losses = workload.loss_fn(targets, logits, batch.get("weights"))["per_example"]
    return losses.reshape(len(losses), -1).sum(axis=-1)
