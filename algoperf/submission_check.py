"""Runs a submission for a few steps and says how it behaves."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from algoperf.evaluate import evaluate
from algoperf.handed_workload import handed_to_submission
from algoperf.jax_sharding_utils import commit, replicate
from algoperf.metrics_logger import DroppedMetrics
from algoperf.optimizers import state_bytes
from algoperf.submission import Submission, global_batch_size
from algoperf.submission_calls import check_params, submission_code
from algoperf.train_state import TrainState, state_of
from algoperf.workload import Workload

STEPS = 10
# A step compiles at the first call; the second one may have to, since what
# init_optimizer_state made was placed otherwise.
_WARM = 2


@dataclass(frozen=True)
class Behaviour:
    """What ten steps and an evaluation showed.

    `recompiled` names what was compiled after the second step. `shared` are pairs of
    places whose arrays share memory, which cannot both be donated. `nonfinite` says
    whether NaN or infinity is in the params.
    """

    batch_size: int
    state_bytes_per_param: float
    recompiled: tuple[str, ...]
    shared: tuple[tuple[str, str], ...]
    nonfinite: bool
    metrics: dict[str, float]


def try_steps(
    workload: Workload, submission: Submission, hyperparameters: Any, steps: int = STEPS
) -> Behaviour:
    """Trains a few steps as the harness does, without a clock and without files.

    Raises:
      SubmissionFailed: a function of the submission raised.
    """
    caller = Caller(workload, submission, hyperparameters)
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 2 * steps + 4))
    size = caller.batch_size()
    queue = workload.batches("train", size)
    state = caller.start(next(keys))
    state = state._replace(optimizer_state=commit(state.optimizer_state))
    size_bytes = state_bytes(state.optimizer_state)
    recompiled: list[str] = []
    for step in range(steps):
        with _compiled() as names, _no_waiting():
            state = caller.step(state, queue, step, next(keys))
        recompiled += names if step >= _WARM else []
    check_params(state.params, workload.param_shapes, "update_params")
    shared = _shared_memory(state._asdict())
    state = caller.prepare(state, steps, next(keys))
    check_params(state.params, workload.param_shapes, "prepare_for_eval")
    params, model_state = replicate((state.params, state.model_state))
    finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params))
    return Behaviour(
        size,
        size_bytes / workload.num_params,
        tuple(dict.fromkeys(recompiled)),
        shared,
        not finite,
        evaluate(workload, params, model_state, next(keys)),
    )


@dataclass(frozen=True)
class Caller:
    """Calls a submission's functions as the harness does."""

    workload: Workload
    submission: Submission
    hyperparameters: Any
    handed: Workload = field(init=False)  # what the submission gets

    def __post_init__(self) -> None:
        handed = handed_to_submission(self.workload)
        # A trial has a logger, and submissions need not ask whether there is one.
        handed.attach_metrics_logger(DroppedMetrics())
        object.__setattr__(self, "handed", handed)

    def batch_size(self) -> int:
        with submission_code(self.submission.get_batch_size):
            facts, devices = self.workload.facts, jax.device_count()
            return global_batch_size(self.submission, facts, devices)

    def start(self, key: jax.Array) -> TrainState:
        params, model_state = self.workload.init_model_fn(key)
        with submission_code(self.submission.init_optimizer_state):
            state = self.submission.init_optimizer_state(
                self.handed, params, model_state, self.hyperparameters, key
            )
        return TrainState(params, model_state, state)

    def step(
        self, state: TrainState, queue: Iterator[Any], step: int, key: Any
    ) -> TrainState:
        with submission_code(self.submission.data_selection):
            batch = self.submission.data_selection(
                self.handed,
                queue,
                state.optimizer_state,
                state.params,
                state.model_state,
                self.hyperparameters,
                step,
                key,
            )
        with submission_code(self.submission.update_params):
            returned = self.submission.update_params(
                batch=batch, train_state={}, **self._arguments(state, step, key)
            )
            return state_of("update_params", returned)

    def prepare(self, state: TrainState, step: int, key: Any) -> TrainState:
        with submission_code(self.submission.prepare_for_eval):
            arguments = self._arguments(state, step, key)
            returned = self.submission.prepare_for_eval(**arguments)
            return state_of("prepare_for_eval", returned)

    def _arguments(self, state: TrainState, step: int, key: Any) -> dict[str, Any]:
        return {
            "workload": self.handed,
            "current_param_container": state.params,
            "current_params_types": self.handed.model_params_types,
            "model_state": state.model_state,
            "hyperparameters": self.hyperparameters,
            "loss_type": self.workload.loss_type,
            "optimizer_state": state.optimizer_state,
            "eval_results": [],
            "global_step": step,
            "rng": key,
        }


def trace_step(
    workload: Workload, submission: Submission, hyperparameters: Any
) -> float:
    """One step on shapes alone; returns state bytes per parameter.

    Nothing is computed, so that a full workload costs seconds and no memory.

    Raises:
      SubmissionFailed: a function of the submission raised, or needs values.
    """
    caller = Caller(workload, submission, hyperparameters)
    size = caller.batch_size()
    batch = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            (size * len(leaf), *leaf.shape[1:]), leaf.dtype
        ),
        workload.example_batch,
    )
    size_bytes = 0

    def step(key, batch):
        nonlocal size_bytes
        state = caller.start(key)
        size_bytes = state_bytes(state.optimizer_state)
        return caller.step(state, itertools.repeat(batch), 0, key).params

    params = jax.eval_shape(step, jax.random.PRNGKey(0), batch)
    check_params(params, workload.param_shapes, "update_params")
    return size_bytes / workload.num_params


def _shared_memory(trees: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    places: dict[int, str] = {}
    shared: list[tuple[str, str]] = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(trees)[0]:
        if not isinstance(leaf, jax.Array) or not leaf.size or leaf.is_deleted():
            continue
        address = leaf.addressable_shards[0].data.unsafe_buffer_pointer()
        place = jax.tree_util.keystr(path, simple=True, separator="/")
        if address in places:
            shared.append((places[address], place))
        places[address] = place
    return tuple(shared)


@contextmanager
def _compiled() -> Iterator[list[str]]:
    """Names of what the backend compiles meanwhile."""
    names: list[str] = []

    def note(event: str, duration: float, **details: Any) -> None:
        del duration
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(str(details.get("fun_name", "?")))

    listen: Callable[..., None] = note
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Raises where a value is brought to the host, which a CPU does without copying."""
    with jax.transfer_guard_device_to_host("disallow"):
        yield
