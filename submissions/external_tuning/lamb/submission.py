"""LAMB: Adam with a trust ratio per layer (You et al., 2020)."""

import optax

from algoperf.optax_submission import optax_submission
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    return optax.lamb(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        eps=1e-8,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
