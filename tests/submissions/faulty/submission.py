"""SGD with momentum whose trials die once, or take long, as their point says."""

import os
import signal
import time
from pathlib import Path

import optax

from algoperf.optax_submission import optax_submission

CRASH_STEP = 30
STEP_S = {"slow": 1.0, "rather slow": 0.2}


def optimizer(hyperparameters, step_hint):
    del step_hint
    return optax.sgd(hyperparameters.learning_rate, momentum=0.9)


get_batch_size, init_optimizer_state, train = optax_submission(optimizer)


def update_params(**arguments):
    hyperparameters, step = arguments["hyperparameters"], arguments["global_step"]
    time.sleep(STEP_S.get(hyperparameters.fault, 0.0))
    if hyperparameters.fault == "crash" and step == CRASH_STEP:
        # Beside the folder of the submission: an isolated trial has few variables.
        mark = Path(__file__).parents[1] / f"crashed_{arguments['rng'][0]}"
        if not mark.exists():
            mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
    return train(**arguments)
