"""A trial's two programs, compiled on shapes alone: what they need, before they run.

A step is the submission's own `update_params` on its own state, wrapped in one program.
What the submission's jitted functions donate is donated here too: else the state would
count twice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from algoperf.facts import Split
from algoperf.jax_sharding_utils import get_batch_dim_sharding, get_replicate_sharding
from algoperf.submission_calls import check_params
from algoperf.submission_check import Caller
from algoperf.train_state import TrainState
from algoperf.workload import Workload

# What tracing a function raises that needs the values of arrays.
NEEDS_VALUES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
    # From a state that keeps an array of its own trace in a function.
    jax.errors.UnexpectedTracerError,
)


@dataclass(frozen=True)
class Program:
    """A compiled program; bytes and operations are those of one device.

    `peak_bytes` is XLA's plan: arguments, results and intermediate arrays, less what
    results share with donated arguments. `flop` is XLA's count, which takes the body
    of a loop once; None where a backend does not count.
    """

    compile_s: float
    argument_bytes: int
    output_bytes: int
    temp_bytes: int
    alias_bytes: int
    flop: float | None

    @property
    def peak_bytes(self) -> int:
        return (
            self.argument_bytes + self.output_bytes + self.temp_bytes - self.alias_bytes
        )


@dataclass(frozen=True)
class Programs:
    """Both programs of a trial, and the sizes that go with them (per device)."""

    batch_size: int
    step: Program
    evaluation: Program
    state_bytes: int  # params, model state and optimizer state
    optimizer_bytes: int  # of which optimizer state
    batch_bytes: int  # of a training batch
    eval_batch_bytes: int

    @property
    def step_peak_bytes(self) -> int:
        """While training: the next batch is on its way to the device."""
        return self.step.peak_bytes + self.batch_bytes

    @property
    def eval_peak_bytes(self) -> int:
        """While evaluating: the optimizer state and the next training batch stay, and
        two more evaluation batches may be there."""
        waiting = self.optimizer_bytes + self.batch_bytes + 2 * self.eval_batch_bytes
        return self.evaluation.peak_bytes + waiting


@dataclass(frozen=True)
class AbstractState:
    """A state whose arrays are shapes; `rebuild` puts arrays in their places.

    Leaves that are no arrays, such as functions, are what the submission made.
    """

    shapes: list[jax.ShapeDtypeStruct]
    rebuild: Callable[[list[Any]], TrainState]

    @property
    def state(self) -> TrainState:
        return self.rebuild(self.shapes)


def compile_trial(caller: Caller, eval_batch_size: int) -> Programs:
    """Compiles the step and the evaluation of a trial; nothing is computed.

    Raises:
      SubmissionFailed: a function of the submission raised; its cause is one of
        NEEDS_VALUES if that is only because it needs values.
      ValueError: the batch size does not fit, or the step changed the params' shapes.
    """
    workload = caller.workload
    batch_size = caller.batch_size()
    state = abstract_state(caller)
    batch = batch_shapes(workload, "train", batch_size)
    eval_batch = batch_shapes(workload, "validation", eval_batch_size)
    params, model_state, optimizer_state = state.state
    return Programs(
        batch_size=batch_size,
        step=_compile_step(caller, state, batch),
        evaluation=_compiled(
            workload.measure.lower, params, model_state, eval_batch, _key_shape()
        ),
        state_bytes=tree_bytes(state.shapes),
        optimizer_bytes=tree_bytes(optimizer_state),
        batch_bytes=_bytes_a_device(batch),
        eval_batch_bytes=_bytes_a_device(eval_batch),
    )


def abstract_state(caller: Caller) -> AbstractState:
    """The state that a trial starts from, without making it."""
    made: list[Any] = []

    def start(key: jax.Array) -> list[Any]:
        leaves, treedef = jax.tree.flatten(caller.start(key))
        made[:] = [leaves, treedef]
        return [leaf for leaf in leaves if _is_array(leaf)]

    shapes = jax.eval_shape(start, jax.random.PRNGKey(0))
    leaves, treedef = made
    at = [i for i, leaf in enumerate(leaves) if _is_array(leaf)]
    fixed = [None if _is_array(leaf) else leaf for leaf in leaves]

    def rebuild(arrays: list[Any]) -> TrainState:
        filled = list(fixed)
        for i, array in zip(at, arrays, strict=True):
            filled[i] = array
        return jax.tree.unflatten(treedef, filled)

    sharding = get_replicate_sharding()
    return AbstractState([_placed(leaf, sharding) for leaf in shapes], rebuild)


def batch_shapes(workload: Workload, split: Split, batch_size: int) -> Any:
    """Shapes and types of a batch on the devices, taken from a real one.

    Shapes are those of all examples of a batch: where graphs are packed, the leading
    dimension is not the batch size.
    """
    batch = next(workload.data.batches(split, batch_size, seed=0))
    if workload.finish is not None:
        batch = jax.eval_shape(workload.finish, batch)
    sharding = get_batch_dim_sharding()
    return jax.tree.map(lambda leaf: _placed(leaf, sharding), batch)


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays and shapes in a tree."""
    return sum(
        int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize
        for leaf in jax.tree.leaves(tree)
        if _is_array(leaf)
    )


def _compile_step(caller: Caller, state: AbstractState, batch: Any) -> Program:
    def step(arrays: list[Any], batch: Any, key: jax.Array) -> list[Any]:
        after = caller.step(state.rebuild(arrays), iter([batch]), 0, key)
        check_params(after.params, caller.workload.param_shapes, "update_params")
        return [leaf for leaf in jax.tree.leaves(after) if _is_array(leaf)]

    start = time.perf_counter()
    traced = jax.jit(step).trace(state.shapes, batch, _key_shape())
    given = donated_arguments(traced.jaxpr.jaxpr)
    taken = [i in given for i in range(len(state.shapes))]

    def split_step(donated: list[Any], kept: list[Any], batch: Any, key: jax.Array):
        donated_leaves, kept_leaves = iter(donated), iter(kept)
        arrays = [next(donated_leaves if t else kept_leaves) for t in taken]
        return step(arrays, batch, key)

    donating = jax.jit(split_step, donate_argnums=0)
    donated = [s for s, t in zip(state.shapes, taken, strict=True) if t]
    kept = [s for s, t in zip(state.shapes, taken, strict=True) if not t]
    return _compiled(donating.lower, donated, kept, batch, _key_shape(), start=start)


def donated_arguments(jaxpr: Any) -> set[int]:
    """Arguments of a traced function that a jitted function called in it donates."""
    position = {id(variable): i for i, variable in enumerate(jaxpr.invars)}
    return {
        position[id(variable)]
        for equation in jaxpr.eqns
        for variable, donated in zip(
            equation.invars, equation.params.get("donated_invars", ()), strict=False
        )
        if donated and id(variable) in position
    }


def _compiled(
    lower: Callable[..., Any], *arguments: Any, start: float | None = None
) -> Program:
    start = time.perf_counter() if start is None else start
    compiled = lower(*arguments).compile()
    compile_s = time.perf_counter() - start
    memory = compiled.memory_analysis()
    counted = compiled.cost_analysis() or {}
    return Program(
        compile_s=compile_s,
        argument_bytes=memory.argument_size_in_bytes,
        output_bytes=memory.output_size_in_bytes,
        temp_bytes=memory.temp_size_in_bytes,
        alias_bytes=memory.alias_size_in_bytes,
        flop=counted.get("flops"),
    )


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)


def _placed(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _key_shape() -> Any:
    return jax.eval_shape(lambda: jax.random.PRNGKey(0))


def _bytes_a_device(batch: Any) -> int:
    return -(-tree_bytes(batch) // jax.device_count())
