"""AdamW with learning rate and batch size by the step law (Li et al., 2025).

For N parameters without the embedding and D tokens of training the law has the learning
rate 1.79 N^-0.713 D^0.307 and batches of 0.58 D^0.571 tokens. D is what the workload's
own batch size makes of its step hint; the schedule ends after D tokens. An example of
anything but tokens counts as one token: there the law says nothing, and this runs.
"""

import math
from types import SimpleNamespace

import jax
import optax

from algoperf.optax_submission import optax_submission, update_params  # noqa: F401
from algoperf.schedules import warmup_cosine
from algoperf.spec import ParameterType
from workloads import catalog

SEQUENCE_TOKENS = dict(wmt=256, wmt_mini=32, finewebedu_lm=1024, finewebedu_lm_mini=64)  # noqa: C408
# `get_batch_size` alone is told which workload it is, and it is called first.
trained = SimpleNamespace(name="")


def get_batch_size(workload_name):
    trained.name = workload_name
    examples = 0.58 * num_tokens() ** 0.571 / tokens_per_example()
    devices = jax.device_count()
    return max(round(examples / devices), 1) * devices


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    rate = learning_rate(workload)
    point = SimpleNamespace(learning_rate=rate, warmup_factor=0.05, grad_clip=1.0)
    a_step = get_batch_size(trained.name) * tokens_per_example()
    schedule = warmup_cosine(point, num_tokens() // a_step)
    adamw = optax.adamw(schedule, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1)
    _, init, _ = optax_submission(lambda *_: adamw, hyperparameters=point)
    return init(workload, model_params, model_state, hyperparameters, rng)


def learning_rate(workload):
    return 1.79 * non_embedding_params(workload) ** -0.713 * num_tokens() ** 0.307


def num_tokens():
    facts = catalog.get(trained.name)
    return facts.step_hint * facts.batch_size * tokens_per_example()


def tokens_per_example():
    return SEQUENCE_TOKENS.get(catalog.get(trained.name).base, 1)


def non_embedding_params(workload):
    shapes, types = workload.param_shapes, workload.model_params_types
    pairs = zip(jax.tree.leaves(shapes), jax.tree.leaves(types), strict=True)
    sizes = ((math.prod(s.shape_tuple), kind) for s, kind in pairs)
    return sum(size for size, kind in sizes if kind != ParameterType.EMBEDDING)
