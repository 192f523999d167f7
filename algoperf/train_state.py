"""The arrays of a trial, as a step takes and returns them."""

from typing import Any, NamedTuple

import jax

from algoperf.jax_sharding_utils import commit
from algoperf.submission import Submission
from algoperf.submission_calls import submission_code, three_values
from algoperf.workload import Workload


class TrainState(NamedTuple):
    """The arrays of a trial: what a step takes and returns."""

    params: Any
    model_state: Any
    optimizer_state: Any


def state_of(function: str, returned: Any) -> TrainState:
    """The state that update_params or prepare_for_eval returned.

    Raises:
      ValueError: it did not return three values.
    """
    optimizer_state, params, model_state = three_values(function, returned)
    return TrainState(params, model_state, optimizer_state)


def initial_state(
    workload: Workload,
    handed: Workload,
    submission: Submission,
    hyperparameters: Any,
    keys: tuple[jax.Array, jax.Array],
) -> TrainState:
    """Of a new trial. `keys` are for the model and for the optimizer state.

    Raises:
      SubmissionFailed: init_optimizer_state raised.
    """
    model_key, optimizer_key = keys
    params, model_state = workload.init_model_fn(model_key)
    with submission_code(submission.init_optimizer_state):
        optimizer_state = submission.init_optimizer_state(
            handed, params, model_state, hyperparameters, optimizer_key
        )
    return TrainState(params, model_state, commit(optimizer_state))
