"""The arrays of a trial, as a step takes and returns them."""

from typing import Any, NamedTuple

from algoperf.submission_calls import three_values


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
