"""NAdamW with linear warm-up and cosine decay (Dozat, 2016; AlgoPerf's definition)."""

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import baseline_nadamw

get_batch_size, init_optimizer_state, update_params = optax_submission(baseline_nadamw)
