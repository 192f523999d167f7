"""Distributed Shampoo: Kronecker-factored preconditioners (Anil et al., 2021).

As it is meant: AlgoPerf's own baseline of that name never preconditions.
"""

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import shampoo
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    return shampoo(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
