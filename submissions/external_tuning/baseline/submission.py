"""AlgoPerf's external-tuning baseline (v0.6): NAdamW at five tuned points."""

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import baseline_nadamw

get_batch_size, init_optimizer_state, update_params = optax_submission(baseline_nadamw)
