"""NAdamW with linear warm-up and cosine decay (Dozat, 2016; AlgoPerf's definition)."""

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import nadamw
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    return nadamw(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
