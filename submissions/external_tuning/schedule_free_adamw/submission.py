"""Schedule-free AdamW: averaging instead of decay (Defazio et al., 2024)."""

from optax import contrib

from algoperf.optax_submission import optax_submission_with_eval


def optimizer(hyperparameters, step_hint):
    return contrib.schedule_free_adamw(
        hyperparameters.learning_rate,
        warmup_steps=int(hyperparameters.warmup_factor * step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size, init_optimizer_state, update_params, prepare_for_eval = (
    optax_submission_with_eval(optimizer, contrib.schedule_free_eval_params)
)
