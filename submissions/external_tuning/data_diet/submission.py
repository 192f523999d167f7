"""Data diet: NAdamW on the examples that were hard early on (EL2N: Paul et al., 2021).

After `score_factor` of the steps the params are kept. From then on two batches are
drawn for every step, and the half with the higher scores is trained on.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from algoperf.example_scores import el2n
from algoperf.jax_sharding_utils import get_batch_dim_sharding
from algoperf.optax_submission import optax_submission
from algoperf.optimizers import baseline_nadamw

TRAINER = optax_submission(baseline_nadamw)
get_batch_size = TRAINER.get_batch_size


class DietState(NamedTuple):
    trainer: Any
    early: Any  # (params, model state), None until they are kept
    choose: Any


def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    trainer = TRAINER.init_optimizer_state(
        workload, params, model_state, hyperparameters, rng
    )
    return DietState(trainer, None, jax.jit(hardest_half, static_argnums=0))


def hardest_half(workload, early, first, second, rng):
    pool = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
    scores = el2n(workload, early[0], early[1], pool, rng)
    _, chosen = jax.lax.top_k(scores, len(scores) // 2)
    batch = jax.tree.map(lambda leaf: leaf[chosen], pool)
    return jax.lax.with_sharding_constraint(batch, get_batch_dim_sharding())


def data_selection(workload, input_queue, optimizer_state, *rest):
    if optimizer_state.early is None:
        return next(input_queue)
    pair = next(input_queue), next(input_queue)
    return optimizer_state.choose(workload, optimizer_state.early, *pair, rest[-1])


def update_params(*, workload, optimizer_state, hyperparameters, global_step, **rest):
    trainer, early, choose = optimizer_state
    trainer, params, model_state = TRAINER.update_params(
        workload=workload,
        optimizer_state=trainer,
        hyperparameters=hyperparameters,
        global_step=global_step,
        **rest,
    )
    if global_step + 1 == int(hyperparameters.score_factor * workload.step_hint):
        early = jax.tree.map(jnp.copy, (params, model_state))
    return DietState(trainer, early, choose), params, model_state
