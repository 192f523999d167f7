"""SGD with Nesterov momentum and coupled weight decay (Sutskever et al., 2013)."""

import optax

from algoperf.optax_submission import optax_submission
from algoperf.schedules import warmup_linear


def optimizer(hyperparameters, step_hint):
    return optax.chain(
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.sgd(
            warmup_linear(hyperparameters, step_hint),
            momentum=1.0 - hyperparameters.one_minus_beta1,
            nesterov=True,
        ),
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
