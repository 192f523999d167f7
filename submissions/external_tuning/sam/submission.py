"""SAM: AdamW on the gradient at the worst point nearby (Foret et al., 2021)."""

import optax

from algoperf.optax_submission import optax_submission, sam_gradients
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    return optax.adamw(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(
    optimizer, gradients=sam_gradients
)
