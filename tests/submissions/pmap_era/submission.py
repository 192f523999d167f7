"""A submission as they were written until 2024: `jax.pmap`, arrays by device."""

import functools

import jax
import jax.numpy as jnp
import optax
from algorithmic_efficiency import spec  # pyright: ignore[reportMissingImports]
from flax import jax_utils

HISTORY = []  # what a submission of this style sees, for the tests that look


def get_batch_size(workload_name):
    if workload_name == "mnist":
        return 1024
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del model_params, model_state, rng
    zeros = jax.tree_map(lambda s: jnp.zeros(s.shape_tuple), workload.param_shapes)
    optimizer = optax.sgd(hyperparameters.learning_rate, momentum=0.9)
    return jax_utils.replicate(optimizer.init(zeros)), optimizer.update


@functools.partial(
    jax.pmap,
    axis_name="batch",
    in_axes=(None, None, 0, 0, 0, 0, 0),
    static_broadcasted_argnums=(0, 1),
    donate_argnums=(2, 3, 4),
)
def train_step(workload, update, model_state, optimizer_state, params, batch, rng):
    def loss_fn(params):
        logits, new_model_state = workload.model_fn(
            params,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
        )
        return loss["summed"], (loss["n_valid_examples"], new_model_state)

    (summed, (count, new_model_state)), grads = jax.value_and_grad(
        loss_fn, has_aux=True
    )(params)
    summed, count, grads = jax.lax.psum((summed, count, grads), axis_name="batch")
    grads = jax.tree_map(lambda grad: grad / count, grads)
    updates, optimizer_state = update(grads, optimizer_state, params)
    params = optax.apply_updates(params, updates)
    return optimizer_state, params, new_model_state, summed / count


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    state, update = optimizer_state
    HISTORY.append(jax.tree.map(jnp.shape, (current_param_container, batch)))
    rngs = jax.random.split(rng, jax.local_device_count())
    state, params, model_state, loss = train_step(
        workload, update, model_state, state, current_param_container, batch, rngs
    )
    if workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss[0]}, global_step)
    return (state, update), params, model_state


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    return next(input_queue)
