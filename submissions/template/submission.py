"""A commented template: every function a submission may define, in plain JAX.

Copy this folder and change what you like. With an optax optimizer ten lines are
enough: see submissions/external_tuning/adamw. Run it with

  algoperf run --workload=digits --submission_path=path/to/your/folder

Put a tuning_search_space.json beside it to compete under the external tuning ruleset;
without one it is a self-tuning submission and gets hyperparameters=None.
"""

import functools

import jax
import jax.numpy as jnp

from algoperf import jax_sharding_utils, spec


def get_batch_size(workload_name: str) -> int:
    """The global batch size; must divide over the devices.

    For a workload that is not in your table raise ValueError: the workload's own
    batch size is then used.
    """
    sizes = {"digits": 64, "mnist_mini": 128}
    if workload_name not in sizes:
        raise ValueError(f"no batch size for {workload_name}")
    return sizes[workload_name]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """Any tree of arrays; functions and None are fine. Not on the clock."""
    del workload, model_state, hyperparameters, rng
    return jax.tree.map(jnp.zeros_like, model_params)


# `workload` is a static argument. The arrays that change every step are donated.
@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def train_step(workload, params, model_state, momentum, batch, rng):
    def mean_loss(params):
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
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    (loss, model_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, grads)
    params = jax.tree.map(lambda p, m: p - 0.05 * m, params, momentum)
    # Keeps everything replicated on all devices, so that no step compiles again.
    replicated = jax_sharding_utils.get_replicate_sharding()
    return jax.lax.with_sharding_constraint(
        (momentum, params, model_state, loss), replicated
    )


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: spec.Batch,
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: spec.EvalResults,
    global_step: int,
    rng: spec.RandomState,
    train_state=None,
) -> spec.UpdateReturn:
    """One update of the parameters: on the clock.

    Raise spec.TrainingCompleteError to end training early, before the params are
    donated: they get a last evaluation. Do not wait for the device
    here (float(loss), print(loss)): it keeps the next step from being prepared.
    """
    del current_params_types, hyperparameters, loss_type, eval_results, train_state
    momentum, params, model_state, loss = train_step(
        workload, current_param_container, model_state, optimizer_state, batch, rng
    )
    if workload.metrics_logger is not None and global_step % 100 == 0:
        workload.metrics_logger.append_scalar_metrics({"loss": loss}, global_step)
    return momentum, params, model_state


def prepare_for_eval(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: spec.EvalResults,
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    """Optional: called before an evaluation (say, to average weights); on the clock.

    What it returns replaces the training state.
    """
    del workload, current_params_types, hyperparameters, loss_type
    del eval_results, global_step, rng
    return optimizer_state, current_param_container, model_state


def data_selection(
    workload: spec.Workload,
    input_queue,
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> spec.Batch:
    """Optional: which batch to train on; on the clock. The queue never ends."""
    del workload, optimizer_state, current_param_container, model_state
    del hyperparameters, global_step, rng
    return next(input_queue)
