"""Adafactor: factored second moments, momentum in 8 bits (Shazeer & Stern, 2018)."""

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import adafactor
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    return adafactor(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
