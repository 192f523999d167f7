"""What set AlgoPerf's targets: a tuned point for each of its first eight workloads.

The search space lists the points by workload, null where an algorithm does not have a
hyperparameter; `--num_tuning_trials=8 --hparam_start_index=2 --hparam_end_index=3` runs
the third, imagenet_resnet's, alone. Training is planned for three quarters of the step
hint, and dropout stays the workload's own.
"""

from types import SimpleNamespace

import optax

from algoperf.optax_submission import optax_submission
from algoperf.optimizers import nadamw
from algoperf.schedules import warmup_cosine, warmup_linear


def optimizer(hyperparameters, step_hint):
    steps = int(0.75 * step_hint)
    point = SimpleNamespace(**hyperparameters._asdict())
    # The half keeps the whole number that it is multiplied back to.
    point.warmup_factor = (min(point.warmup_steps, steps) + 0.5) / steps
    if point.algorithm == "nadamw":
        rate = warmup_cosine(point, steps)
        return nadamw(rate, point.beta1, point.beta2, point.weight_decay)
    return optax.chain(
        optax.add_decayed_weights(point.weight_decay),
        optax.sgd(
            warmup_linear(point, steps),
            momentum=point.beta1,
            nesterov=point.algorithm == "nesterov",
        ),
    )


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
