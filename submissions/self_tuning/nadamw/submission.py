"""NAdamW with warm-up and cosine decay at one fixed point for every workload.

The point is that of AlgoPerf's self-tuning baseline (v0.6).
"""

from types import SimpleNamespace

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import baseline_nadamw

HYPERPARAMETERS = SimpleNamespace(
    learning_rate=0.0017486387539278373,
    one_minus_beta1=0.06733926164,
    beta2=0.9955159689799007,
    weight_decay=0.08121616522670176,
    warmup_factor=0.02,
    dropout_rate=0.1,
    label_smoothing=0.0,
)


get_batch_size, init_optimizer_state, update_params = optax_submission(
    baseline_nadamw, hyperparameters=HYPERPARAMETERS
)
