"""NAdamW evaluated at the moving average of its params (Polyak & Juditsky, 1992)."""

from algoperf.optax_submission import optax_submission_with_eval
from algoperf.optimizers import baseline_nadamw, ema_params, with_ema


def optimizer(hyperparameters, step_hint):
    # The decay forgets in a share of the run, whatever its length.
    steps = max(1.0, hyperparameters.memory_factor * step_hint)
    nadamw = baseline_nadamw(hyperparameters, step_hint)
    return with_ema(nadamw, decay=1.0 - 1.0 / steps)


def average(state, params):
    del params
    return ema_params(state)


get_batch_size, init_optimizer_state, update_params, prepare_for_eval = (
    optax_submission_with_eval(optimizer, average)
)
