"""Cautious AdamW: no step against the gradient (Liang et al., 2024)."""

import optax

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import cautious
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    adam = optax.scale_by_adam(
        b1=1.0 - hyperparameters.one_minus_beta1, b2=hyperparameters.beta2
    )
    return optax.chain(
        cautious(adam),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(warmup_cosine(hyperparameters, step_hint)),
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
