"""What becomes unstable in training, measured at evaluations: `--log_dynamics`.

Wortsman et al. (2023) show that the instabilities of large Transformers (growing
attention logits, diverging output logits) can be seen, and predicted, in small ones.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf.facts import Split
from algoperf.jax_sharding_utils import get_replicate_sharding
from algoperf.metrics_logger import MetricsLogger
from algoperf.spec import Batch, LossType
from algoperf.workload import ForwardOptions, Workload

# A model may sow this into "intermediates"; the largest of all layers is logged.
MAX_ATTENTION_LOGIT = "max_attention_logit"
PREFIX = "dynamics/"
_BATCH_FROM: Split = "eval_train"
_EVAL = ForwardOptions(train=False, use_running_average=True, dropout_rate=0.0)


class Dynamics:
    """Measures at one evaluation after another.

    Gradient and logits are those of one batch, the first of `eval_train`, in evaluation
    mode: the same in every run, so that it is only the params that change.
    """

    def __init__(self, workload: Workload, params: Any, step: int, batch_size: int):
        """`params` are those at `step`, which the first update is counted from."""
        self._workload = workload
        self._batch_size = batch_size
        self._previous = _copy(params)
        self._previous_step = step

    def log(
        self, params: Any, model_state: Any, step: int, logger: MetricsLogger
    ) -> None:
        """Logs what `measure` finds, under names that begin with `dynamics/`."""
        found = self.measure(params, model_state, step)
        named = {f"{PREFIX}{name}": value for name, value in found.items()}
        logger.append_scalar_metrics(named, step)

    def measure(self, params: Any, model_state: Any, step: int) -> dict[str, Any]:
        """Scalars by name, on the device:

        - `param_rms`, `gradient_rms`: root of the mean square over all params;
        - `update_rms`: the same of their change in the last `update_steps` steps;
        - `log_partition`, `log_partition_rms`: of the softmax over logits (the "z" of
          the z-loss), mean and root mean square over the batch, where the loss has one;
        - `max_attention_logit`, where the model tells it.
        """
        found = self._measure(params, self._previous, model_state, self._batch())
        found["update_steps"] = step - self._previous_step
        self._previous, self._previous_step = _copy(params), step
        return found

    def _batch(self) -> Batch:
        # A batch of training's size: a gradient of evaluation's may not fit.
        return next(self._workload.batches(_BATCH_FROM, self._batch_size))

    @functools.cached_property
    def _measure(self) -> Callable[..., dict[str, Any]]:
        return jax.jit(
            functools.partial(_measured, self._workload),
            out_shardings=get_replicate_sharding(),
        )


def _measured(
    workload: Workload, params: Any, previous: Any, model_state: Any, batch: Batch
) -> dict[str, Any]:
    weights = batch.get("weights")

    def mean_loss(params: Any) -> tuple[jax.Array, tuple[Any, Any]]:
        apply = functools.partial(
            workload.model.apply,
            {"params": params, **(model_state or {})},
            mutable=["intermediates", *(model_state or ())],
        )
        outputs, written = workload.forward(apply, batch, _EVAL)
        loss = workload.loss_fn(batch["targets"], outputs, weights)
        intermediates = dict(written).get("intermediates", {})
        return loss["summed"] / loss["n_valid_examples"], (outputs, intermediates)

    grads, (outputs, intermediates) = jax.grad(mean_loss, has_aux=True)(params)
    found = {
        "param_rms": _rms(params),
        "update_rms": _rms(jax.tree.map(jnp.subtract, params, previous)),
        "gradient_rms": _rms(grads),
    }
    if workload.loss_type == LossType.SOFTMAX_CROSS_ENTROPY:
        found |= _log_partition(outputs, weights)
    sown = [
        jnp.max(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(intermediates)
        if MAX_ATTENTION_LOGIT in jax.tree_util.keystr(path)
    ]
    if sown:
        found[MAX_ATTENTION_LOGIT] = functools.reduce(jnp.maximum, sown)
    return found


def _log_partition(logits: jax.Array, weights: Any) -> dict[str, jax.Array]:
    z = jax.nn.logsumexp(logits.astype(jnp.float32), axis=-1)
    if weights is None:
        weights = jnp.ones(z.shape)
    weights = weights.reshape(weights.shape + (1,) * (z.ndim - weights.ndim))
    weights = jnp.broadcast_to(weights, z.shape) > 0
    mean = functools.partial(jnp.mean, where=weights)
    return {"log_partition": mean(z), "log_partition_rms": jnp.sqrt(mean(z * z))}


def _rms(tree: Any) -> jax.Array:
    leaves = jax.tree.leaves(tree)
    return optax.tree.norm(tree) / sum(leaf.size for leaf in leaves) ** 0.5


def _copy(params: Any) -> Any:
    # The next step may donate what it is given.
    return jax.tree.map(jnp.copy, params)
