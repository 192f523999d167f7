"""LAWA: NAdamW evaluated at the mean of its latest snapshots (Kaddour, 2022)."""

from algoperf.optax_submission import optax_submission_with_eval
from algoperf.optimizers import baseline_nadamw, lawa_params, with_lawa


def optimizer(hyperparameters, step_hint):
    return with_lawa(
        baseline_nadamw(hyperparameters, step_hint),
        every_steps=max(1, int(hyperparameters.snapshot_factor * step_hint)),
        window=int(hyperparameters.window),
    )


get_batch_size, init_optimizer_state, update_params, prepare_for_eval = (
    optax_submission_with_eval(optimizer, lawa_params)
)
