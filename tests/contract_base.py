"""The submission that all styles of the contract start from, as source text."""

# Prefix shardings, static workload, every array argument but the batch donated,
# traced dropout and smoothing, keywords only, eleven arguments, sizes by name.
BASE = """
import functools
import jax
import jax.numpy as jnp
import numpy as np
from algoperf import jax_sharding_utils, spec

REPLICATED = jax_sharding_utils.get_replicate_sharding()
SPLIT = jax_sharding_utils.get_batch_dim_sharding()

def get_batch_size(workload_name):
    if workload_name == "imagenet_resnet":
        return 1024
    raise ValueError(f"Unsupported workload name: {workload_name}.")

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    # From the shapes, as published files do: on no device in particular.
    return jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape_tuple), workload.param_shapes
    ), None

def loss_of(workload, params, model_state, batch, rng, dropout_rate, smoothing):
    logits, new_state = workload.model_fn(
        params=params, augmented_and_preprocessed_input_batch=batch,
        model_state=model_state, mode=spec.ForwardPassMode.TRAIN, rng=rng,
        update_batch_norm=True, dropout_rate=dropout_rate,
    )
    result = workload.loss_fn(
        label_batch=batch["targets"], logits_batch=logits,
        mask_batch=batch.get("weights"), label_smoothing=smoothing,
    )
    return result["summed"] / result["n_valid_examples"], new_state

def train_step(workload, state, params, model_state, batch, rng, rate, drop, smooth):
    of_params = lambda p: loss_of(workload, p, model_state, batch, rng, drop, smooth)
    (loss, model_state), grads = jax.value_and_grad(of_params, has_aux=True)(params)
    state = jax.tree.map(lambda v, g: 0.9 * v + g, state, grads)
    params = jax.tree.map(lambda p, v: p - rate * v, params, state)
    return state, params, model_state, {"loss": loss}

jitted = jax.jit(
    train_step, static_argnums=0, donate_argnums=(1, 2, 3),
    in_shardings=(REPLICATED, REPLICATED, REPLICATED, SPLIT, *[REPLICATED] * 4),
    out_shardings=REPLICATED,
)

def options(hyperparameters):
    return 0.05, 0.2, 0.1

def update_params(
    workload, current_param_container, current_params_types, model_state,
    hyperparameters, batch, loss_type, optimizer_state, eval_results, global_step, rng,
):
    state, rest = optimizer_state
    state, params, model_state, logged = jitted(
        workload, state, current_param_container, model_state, batch, rng,
        *options(hyperparameters),
    )
    after(workload, logged, global_step)
    return (state, rest), params, model_state

def after(workload, logged, global_step):
    del workload, logged, global_step
"""
