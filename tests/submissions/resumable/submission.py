"""Depends on everything a resumed trial has to bring back, and is slow to interrupt.

Its state holds arrays, Python numbers, text, a deque, None and a function, and changes
its structure after the first step; it averages weights before evaluations, uses its
random keys, and logs a fingerprint of every batch.
"""

import functools
import time
from collections import deque

import jax
import jax.numpy as jnp

from algoperf import jax_sharding_utils, spec

SECONDS_PER_STEP = 0.004


def get_batch_size(workload_name):
    raise ValueError(workload_name)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    zeros = jax.tree.map(jnp.zeros_like, model_params)
    return {
        "momentum": zeros,
        "average": None,
        "steps": 0,
        "rate": 0.1,
        "step": step,
    } | {
        "phase": "warm",
        "history": deque(maxlen=3),
    }


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def step(workload, params, momentum, batch, rng):
    def mean_loss(params):
        logits, _ = workload.model_fn(
            params, batch, None, spec.ForwardPassMode.TRAIN, rng, True, dropout_rate=0.1
        )
        loss = workload.loss_fn(batch["targets"], logits)
        return loss["summed"] / loss["n_valid_examples"]

    grads = jax.grad(mean_loss)(params)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, grads)
    params = jax.tree.map(lambda p, m: p - 0.02 * m, params, momentum)
    fingerprint = {
        "inputs": jnp.sum(batch["inputs"] ** 2),
        "targets": jnp.sum(batch["targets"] * jnp.arange(len(batch["targets"]))),
        "key": rng[1] % 100_003,
    }
    return jax.lax.with_sharding_constraint(
        (params, momentum, fingerprint), jax_sharding_utils.get_replicate_sharding()
    )


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    state = optimizer_state
    params, momentum, fingerprint = state["step"](
        workload, current_param_container, state["momentum"], batch, rng
    )
    workload.metrics_logger.append_scalar_metrics(
        {
            **fingerprint,
            "evaluations": len(eval_results),
            "phase": state["phase"],
            "history": sum(state["history"]),
        },
        global_step,
    )
    time.sleep(SECONDS_PER_STEP)
    average = state["average"]
    if average is None:
        average = jax.tree.map(jnp.copy, params)
    return (
        state
        | {
            "momentum": momentum,
            "average": average,
            "steps": state["steps"] + 1,
            "rate": state["rate"] * 0.999,
            "phase": "warm" if global_step < 30 else "decay",
            "history": deque([*state["history"], global_step], maxlen=3),
        },
        params,
        model_state,
    )


def prepare_for_eval(
    *, optimizer_state, current_param_container, model_state, **unused
):
    average = jax.tree.map(
        lambda a, p: 0.5 * (a + p), optimizer_state["average"], current_param_container
    )
    params = jax.tree.map(jnp.copy, average)
    return optimizer_state | {"average": average}, params, model_state
