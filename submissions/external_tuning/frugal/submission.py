"""FRUGAL: Adam's state for a part of each matrix, signs for the rest (Zmushko, 2024).

`density` of the columns have state, drawn anew every `update_gap` steps. Vectors,
embeddings and output layers follow AdamW. With a quarter of the columns the state is a
quarter of AdamW's on all other matrices.
"""

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import frugal
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    return frugal(
        warmup_cosine(hyperparameters, step_hint),
        density=hyperparameters.density,
        update_gap=max(1, int(hyperparameters.update_gap_factor * step_hint)),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
