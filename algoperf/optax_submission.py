"""An optax optimizer and a table of batch sizes make a complete submission."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from algoperf.jax_sharding_utils import get_replicate_sharding

LOG_EVERY_STEPS = 100

MakeOptimizer = Callable[[Any, int], optax.GradientTransformation]


class OptaxSubmission(NamedTuple):
    """The functions a submission module has to define."""

    get_batch_size: Callable[[str], int]
    init_optimizer_state: spec.InitOptimizerFn
    update_params: spec.UpdateParamsFn


def optax_submission(
    make_optimizer: MakeOptimizer,
    batch_sizes: Mapping[str, int] | None = None,
    hyperparameters: Any = None,
) -> OptaxSubmission:
    """The submission functions of an optax optimizer.

    Minimises the mean loss over the global batch. Of the hyperparameters it reads,
    where they are given, `label_smoothing`, `dropout_rate` (else the workload's
    default) and `grad_clip`; the rest is for `make_optimizer`.

    Args:
      make_optimizer: (hyperparameters, step_hint) -> the optimizer.
      batch_sizes: workload name -> global batch size; others get the workload's own.
      hyperparameters: a self-tuning submission's own; None under external tuning.
    """
    fixed = hyperparameters
    sizes = dict(batch_sizes or {})

    def get_batch_size(workload_name: str) -> int:
        return sizes[workload_name]

    def init_optimizer_state(
        workload, model_params, model_state, hyperparameters, rng
    ) -> spec.OptimizerState:
        del model_state, rng
        point = hyperparameters if fixed is None else fixed
        optimizer = make_optimizer(point, workload.step_hint)
        init = jax.jit(optimizer.init, out_shardings=get_replicate_sharding())
        return init(model_params), make_train_step(workload, optimizer, point)

    return OptaxSubmission(get_batch_size, init_optimizer_state, update_params)


def update_params(
    *,
    workload,
    current_param_container,
    model_state,
    batch,
    optimizer_state,
    global_step,
    rng,
    **unused,
) -> spec.UpdateReturn:
    """One step of the optimizer; logs loss and gradient norm now and then."""
    del unused
    state, train_step = optimizer_state
    params, model_state, state, logged = train_step(
        current_param_container, model_state, state, batch, rng
    )
    if workload.metrics_logger is not None and global_step % LOG_EVERY_STEPS == 0:
        workload.metrics_logger.append_scalar_metrics(logged, global_step)
    return (state, train_step), params, model_state


def make_train_step(
    workload: spec.Workload, optimizer: optax.GradientTransformation, point: Any
) -> Callable[..., Any]:
    """The jitted step (params, model_state, state, batch, rng) -> the same and logs.

    The first three are donated. Compiled for one trial, once.
    """
    dropout_rate = getattr(point, "dropout_rate", None)  # None: the workload's
    label_smoothing = getattr(point, "label_smoothing", 0.0)
    grad_clip = getattr(point, "grad_clip", None)

    def mean_loss(params, model_state, batch, rng):
        logits, model_state = workload.model_fn(
            params,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
            dropout_rate=dropout_rate,
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=label_smoothing,
        )
        return loss["summed"] / loss["n_valid_examples"], model_state

    def train_step(params, model_state, state, batch, rng):
        (loss, model_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(
            params, model_state, batch, rng
        )
        grad_norm = optax.tree.norm(grads)
        if grad_clip:
            factor = jnp.clip(grad_clip / (grad_norm + 1e-6), 0.0, 1.0)
            grads = jax.tree.map(lambda grad: grad * factor, grads)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return params, model_state, state, {"loss": loss, "grad_norm": grad_norm}

    return jax.jit(
        train_step, donate_argnums=(0, 1, 2), out_shardings=get_replicate_sharding()
    )
