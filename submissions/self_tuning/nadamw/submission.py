"""NAdamW with warm-up and cosine decay at one fixed point for every workload.

The point is that of AlgoPerf's self-tuning baseline (v0.6).
"""

from types import SimpleNamespace

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import nadamw
from algoperf.schedules import warmup_cosine

HYPERPARAMETERS = SimpleNamespace(
    learning_rate=0.0017486387539278373,
    one_minus_beta1=0.06733926164,
    beta2=0.9955159689799007,
    weight_decay=0.08121616522670176,
    warmup_factor=0.02,
    dropout_rate=0.1,
    label_smoothing=0.0,
)


def optimizer(hyperparameters, step_hint):
    return nadamw(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(
    optimizer, hyperparameters=HYPERPARAMETERS
)
