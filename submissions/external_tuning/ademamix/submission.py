"""AdEMAMix: AdamW with a second, slow momentum (Pagliardini et al., 2025)."""

import jax.numpy as jnp
import optax
from optax import contrib

from algoperf.optax_submission import optax_submission
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    b1 = 1.0 - hyperparameters.one_minus_beta1
    return contrib.ademamix(
        warmup_cosine(hyperparameters, step_hint),
        b1=b1,
        b2=hyperparameters.beta2,
        b3=slow_momentum(b1, hyperparameters.beta3, step_hint),
        alpha=optax.linear_schedule(0.0, hyperparameters.alpha, step_hint),
        weight_decay=hyperparameters.weight_decay,
    )


def slow_momentum(b1, b3, step_hint):
    """From b1 to b3 so that the half-life grows linearly (the paper's section 3)."""

    def half_life(b):
        return jnp.log(0.5) / jnp.log(b) - 1.0

    def schedule(count):
        done = jnp.minimum(count / step_hint, 1.0)
        steps = (1.0 - done) * half_life(b1) + done * half_life(b3)
        return jnp.power(0.5, 1.0 / (steps + 1.0))

    return schedule


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
