"""Submissions of the `jax.pmap` era: arrays with a leading device axis.

Until 2024 AlgoPerf's JAX submissions ran one program per device: params, model state
and batches came with a leading axis over the devices, and `jax.pmap` took it away.
`as_jit_style` lets such a submission run here: it adds the axis to what the submission
gets and takes it from what it returns, one dispatch each. The optimizer state is its
own and stays as it returns it.

Batch statistics were each device's own and averaged for evaluations; they are averaged
after every step here, which is the same for running means and is not seen in training.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from algoperf.compat import names_in_files
from algoperf.facts import UserError
from algoperf.jax_sharding_utils import BATCH_AXIS, get_batch_dim_sharding, get_mesh
from algoperf.submission import Submission, keep_everything, next_batch
from algoperf.submission_calls import three_values

Style = Literal["auto", "jit", "pmap"]


def style_of(submission: Submission, wanted: Style = "auto") -> Literal["jit", "pmap"]:
    """The style asked for; with `auto`, pmap if its files use `jax.pmap`."""
    if wanted != "auto":
        return wanted
    return "pmap" if "jax.pmap" in names_in_files(submission.sources) else "jit"


def as_jit_style(submission: Submission) -> Submission:
    """The submission with functions that take and return arrays without the axis.

    Raises:
      UserError: several processes train together: the axis is that of one's devices.
    """
    if jax.process_count() > 1:
        raise UserError(
            "submissions in the pmap style run in one process, and this one is one of "
            f"{jax.process_count()}. Run it without --distributed, or let it use "
            "jax.jit."
        )

    # One object for a trial: it is a static argument of what the submission compiles.
    @functools.cache
    def old(workload: Any, hyperparameters: Any) -> Any:
        return OldWorkload(workload, hyperparameters)

    @functools.wraps(submission.init_optimizer_state)
    def init_optimizer_state(
        workload, model_params, model_state, hyperparameters, rng
    ) -> Any:
        return submission.init_optimizer_state(
            old(workload, hyperparameters),
            stacked(model_params),
            stacked(model_state),
            hyperparameters,
            rng,
        )

    prepare = submission.prepare_for_eval
    return submission._replace(
        init_optimizer_state=init_optimizer_state,
        data_selection=_selecting(submission, old),
        update_params=_between(submission.update_params, old),
        prepare_for_eval=prepare
        if prepare is keep_everything
        else _between(prepare, old),
    )


def _selecting(submission: Submission, old: Callable[..., Any]) -> Callable[..., Any]:
    """data_selection over batches by device."""

    @functools.wraps(submission.data_selection)
    def data_selection(
        workload, input_queue, optimizer_state, params, model_state, *rest
    ) -> Any:
        if submission.data_selection is next_batch:
            return split_batch(next(input_queue))
        return submission.data_selection(
            old(workload, rest[0]),
            map(split_batch, input_queue),
            optimizer_state,
            stacked(params),
            stacked(model_state),
            *rest,
        )

    return data_selection


def _between(
    function: Callable[..., Any], old: Callable[..., Any]
) -> Callable[..., Any]:
    """update_params or prepare_for_eval, between the two styles."""

    @functools.wraps(function)
    def called(*, workload, current_param_container, model_state, **rest):
        returned = function(
            workload=old(workload, rest["hyperparameters"]),
            current_param_container=stacked(current_param_container),
            model_state=stacked(model_state),
            **rest,
        )
        optimizer_state, params, model_state = three_values(function.__name__, returned)
        params, model_state = merged((params, model_state))
        return optimizer_state, params, model_state

    return called


class OldWorkload:
    """A workload whose `model_fn` drops out as much as the hyperparameters say.

    In the pmap era the harness gave their `dropout_rate` to the model when it made it,
    and submissions did not pass it on. All else is the workload's own.
    """

    def __init__(self, workload: Any, hyperparameters: Any):
        self._workload = workload
        rate = getattr(hyperparameters, "dropout_rate", None)
        self._dropout = {} if rate is None else {"dropout_rate": rate}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workload, name)

    def model_fn(self, *arguments: Any, **named: Any) -> Any:
        """The workload's, with the rate that was given when the model was made."""
        return self._workload.model_fn(*arguments, **{**self._dropout, **named})


def stacked(tree: Any) -> Any:
    """A copy a device along a new leading axis."""
    return _stack()(tree)


def merged(tree: Any) -> Any:
    """One array of those along the leading axis: the mean of floats, else the first."""
    return _merge()(tree)


def split_batch(batch: Any) -> Any:
    """[examples, ...] to [devices, examples / devices, ...]."""
    return jax.tree.map(
        lambda leaf: leaf.reshape(jax.device_count(), -1, *leaf.shape[1:]), batch
    )


@functools.cache
def _stack() -> Callable[[Any], Any]:
    def stack(tree: Any) -> Any:
        return jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (jax.device_count(), *leaf.shape)),
            tree,
        )

    return jax.jit(stack, out_shardings=get_batch_dim_sharding())


@functools.cache
def _merge() -> Callable[[Any], Any]:
    def merge_leaf(leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jax.lax.pmean(leaf[0], BATCH_AXIS)
        return leaf[0]

    return jax.jit(
        jax.shard_map(
            lambda tree: jax.tree.map(merge_leaf, tree),
            mesh=get_mesh(),
            in_specs=PartitionSpec(BATCH_AXIS),
            out_specs=PartitionSpec(),
            check_vma=False,  # integers are equal on all devices; nobody can tell
        )
    )
