"""AdamW with learning rate and batch size by the step law (Li et al., 2025).

For N parameters without the embedding and D tokens of training the law has the learning
rate 1.79 N^-0.713 D^0.307 and batches of 0.58 D^0.571 tokens. D is what the workload's
own batch size makes of its step hint; the schedule ends after D tokens. An example of
anything but token ids counts as one token: there the law says nothing, and this runs.
"""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import optax

from algoperf.optax_submission import optax_submission, update_params  # noqa: F401
from algoperf.schedules import warmup_cosine
from algoperf.spec import ParameterType
from workloads import catalog, loading


def get_batch_size(workload_name):
    is_mini = catalog.get(workload_name).scale == "mini"
    workload = (loading.load if is_mini else loading.without_data)(workload_name)
    examples = 0.58 * num_tokens(workload) ** 0.571 / tokens_per_example(workload)
    devices = jax.device_count()
    return max(round(examples / devices), 1) * devices


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    batch_tokens = get_batch_size(workload.facts.name) * tokens_per_example(workload)
    point = SimpleNamespace(
        learning_rate=learning_rate(workload), warmup_factor=0.05, grad_clip=1.0
    )
    schedule = warmup_cosine(point, num_tokens(workload) // batch_tokens)
    adamw = optax.adamw(schedule, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1)
    _, init, _ = optax_submission(lambda *_: adamw, hyperparameters=point)
    return init(workload, model_params, model_state, hyperparameters, rng)


def learning_rate(workload):
    rate = 1.79 * non_embedding_params(workload) ** -0.713
    return rate * num_tokens(workload) ** 0.307


def num_tokens(workload):
    tokens = workload.facts.batch_size * tokens_per_example(workload)
    return workload.step_hint * tokens


def tokens_per_example(workload):
    inputs = jax.tree.leaves(workload.example_batch["inputs"])[0]
    return inputs.shape[1] if inputs.ndim == 2 and inputs.dtype == jnp.int32 else 1


def non_embedding_params(workload):
    shapes, types = workload.param_shapes, workload.model_params_types
    pairs = zip(jax.tree.leaves(shapes), jax.tree.leaves(types), strict=True)
    sizes = ((math.prod(s.shape_tuple), kind) for s, kind in pairs)
    return sum(size for size, kind in sizes if kind != ParameterType.EMBEDDING)
