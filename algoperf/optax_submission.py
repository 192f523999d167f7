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
# (optimizer state, params) -> the params that stand for them in an evaluation.
EvalParams = Callable[[Any, Any], Any]
# (mean loss, params, hyperparameters) -> ((loss, model state), gradients). The loss is
# a function of params, and of whether it may update running batch statistics.
Gradients = Callable[[Callable[..., Any], Any, Any], tuple[tuple[Any, Any], Any]]


class OptaxSubmission(NamedTuple):
    """The functions a submission module has to define."""

    get_batch_size: Callable[[str], int]
    init_optimizer_state: spec.InitOptimizerFn
    update_params: spec.UpdateParamsFn


class OptaxSubmissionWithEval(NamedTuple):
    """The same, and the one that chooses the params to evaluate."""

    get_batch_size: Callable[[str], int]
    init_optimizer_state: spec.InitOptimizerFn
    update_params: spec.UpdateParamsFn
    prepare_for_eval: spec.PrepareForEvalFn


class OptaxState(NamedTuple):
    """The optimizer state of such a submission.

    `parked` are the params that training goes on with, while others are evaluated;
    None in between. `functions` are what the first call made and every step uses.
    """

    optimizer: Any
    parked: Any
    functions: "Functions"


class Functions(NamedTuple):
    """The jitted step, and the jitted choice of params for evaluations (or None)."""

    train_step: Callable[..., Any]
    eval_params: EvalParams | None


def optax_submission(
    make_optimizer: MakeOptimizer,
    batch_sizes: Mapping[str, int] | None = None,
    hyperparameters: Any = None,
    gradients: Gradients | None = None,
) -> OptaxSubmission:
    """The submission functions of an optax optimizer.

    Minimises the mean loss over the global batch. Of the hyperparameters it reads,
    where they are given, `label_smoothing`, `dropout_rate` (else the workload's
    default) and `grad_clip`; the rest is for `make_optimizer`.

    Args:
      make_optimizer: (hyperparameters, step_hint) -> the optimizer.
      batch_sizes: workload name -> global batch size; others get the workload's own.
      hyperparameters: a self-tuning submission's own; None under external tuning.
      gradients: how loss and gradients are found; `jax.value_and_grad` without.
    """
    init = _init_function(make_optimizer, hyperparameters, gradients, None)
    return OptaxSubmission(_sizes(batch_sizes), init, update_params)


def optax_submission_with_eval(
    make_optimizer: MakeOptimizer,
    eval_params: EvalParams,
    batch_sizes: Mapping[str, int] | None = None,
    hyperparameters: Any = None,
    gradients: Gradients | None = None,
) -> OptaxSubmissionWithEval:
    """The same for an optimizer whose evaluated params are not those it trains.

    Args:
      eval_params: (optimizer state, params) -> the params to evaluate.
    """
    init = _init_function(make_optimizer, hyperparameters, gradients, eval_params)
    return OptaxSubmissionWithEval(
        _sizes(batch_sizes), init, update_params, prepare_for_eval
    )


def _sizes(batch_sizes: Mapping[str, int] | None) -> Callable[[str], int]:
    sizes = dict(batch_sizes or {})

    def get_batch_size(workload_name: str) -> int:
        return sizes[workload_name]

    return get_batch_size


def _init_function(
    make_optimizer: MakeOptimizer,
    fixed: Any,
    gradients: Gradients | None,
    eval_params: EvalParams | None,
) -> spec.InitOptimizerFn:
    def init_optimizer_state(
        workload, model_params, model_state, hyperparameters, rng
    ) -> spec.OptimizerState:
        del model_state, rng
        point = hyperparameters if fixed is None else fixed
        optimizer = make_optimizer(point, workload.step_hint)
        # Copies: a state that starts from the params must not share their memory, since
        # both are donated.
        init = jax.jit(
            lambda params: jax.tree.map(jnp.copy, optimizer.init(params)),
            out_shardings=get_replicate_sharding(),
        )
        choose = jax.jit(eval_params) if eval_params else None
        step = make_train_step(workload, optimizer, point, gradients or plain_gradients)
        return OptaxState(init(model_params), None, Functions(step, choose))

    return init_optimizer_state


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
    state, parked, functions = optimizer_state
    params = current_param_container if parked is None else parked
    params, model_state, state, logged = functions.train_step(
        params, model_state, state, batch, rng
    )
    if workload.metrics_logger is not None and global_step % LOG_EVERY_STEPS == 0:
        workload.metrics_logger.append_scalar_metrics(logged, global_step)
    return OptaxState(state, None, functions), params, model_state


def prepare_for_eval(
    *, current_param_container, model_state, optimizer_state, **unused
) -> spec.UpdateReturn:
    """Evaluates what `eval_params` chooses; training goes on with what it had."""
    del unused
    state, parked, functions = optimizer_state
    if functions.eval_params is None or parked is not None:
        return optimizer_state, current_param_container, model_state
    params = functions.eval_params(state, current_param_container)
    return OptaxState(state, current_param_container, functions), params, model_state


def plain_gradients(mean_loss: Callable[..., Any], params: Any, point: Any) -> Any:
    """((loss, model state), gradients) at the params."""
    del point
    return jax.value_and_grad(mean_loss, has_aux=True)(params, True)


def make_train_step(
    workload: spec.Workload,
    optimizer: optax.GradientTransformation,
    point: Any,
    gradients: Gradients = plain_gradients,
) -> Callable[..., Any]:
    """The jitted step (params, model_state, state, batch, rng) -> the same and logs.

    The first three are donated. Compiled for one trial, once.
    """
    dropout_rate = getattr(point, "dropout_rate", None)  # None: the workload's
    label_smoothing = getattr(point, "label_smoothing", 0.0)
    grad_clip = getattr(point, "grad_clip", None)

    def train_step(params, model_state, state, batch, rng):
        def mean_loss(params, update_batch_norm):
            logits, new_model_state = workload.model_fn(
                params,
                batch,
                model_state,
                spec.ForwardPassMode.TRAIN,
                rng,
                update_batch_norm=update_batch_norm,
                dropout_rate=dropout_rate,
            )
            loss = workload.loss_fn(
                label_batch=batch["targets"],
                logits_batch=logits,
                mask_batch=batch.get("weights"),
                label_smoothing=label_smoothing,
            )
            return loss["summed"] / loss["n_valid_examples"], new_model_state

        (loss, new_model_state), grads = gradients(mean_loss, params, point)
        grad_norm = optax.tree.norm(grads)
        if grad_clip:
            factor = jnp.clip(grad_clip / (grad_norm + 1e-6), 0.0, 1.0)
            grads = jax.tree.map(lambda grad: grad * factor, grads)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return params, new_model_state, state, {"loss": loss, "grad_norm": grad_norm}

    return jax.jit(
        train_step, donate_argnums=(0, 1, 2), out_shardings=get_replicate_sharding()
    )


def sam_gradients(mean_loss: Callable[..., Any], params: Any, point: Any) -> Any:
    """Gradients at the worst point nearby (SAM: Foret et al., 2021, algorithm 1).

    The point is `point.rho` up the gradient, on the same batch; running batch
    statistics are those of the first pass. The loss is that at the params.
    """
    (loss, model_state), grads = plain_gradients(mean_loss, params, point)
    scale = point.rho / optax.tree.norm(grads)
    nearby = jax.tree.map(lambda p, grad: p + scale * grad, params, grads)
    grads, _ = jax.grad(mean_loss, has_aux=True)(nearby, False)
    return (loss, model_state), grads
