"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., 2025)."""

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import soap
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    return soap(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
