"""Prodigy: Adam that finds its learning rate (Mishchenko & Defazio, 2024)."""

from types import SimpleNamespace

from optax import contrib

from algoperf.optax_submission import optax_submission
from algoperf.schedules import warmup_cosine

HYPERPARAMETERS = SimpleNamespace(
    learning_rate=1.0,  # times what Prodigy finds
    warmup_factor=0.05,
    weight_decay=0.01,
    dropout_rate=0.1,
    label_smoothing=0.0,
)


def optimizer(hyperparameters, step_hint):
    return contrib.prodigy(
        warmup_cosine(hyperparameters, step_hint),
        betas=(0.9, 0.999),
        weight_decay=hyperparameters.weight_decay,
        safeguard_warmup=True,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(
    optimizer, hyperparameters=HYPERPARAMETERS
)
