"""Submissions in every style that public ones are written in, as source text.

A style is `BASE` with `more` at its end: a later definition takes the place of an
earlier one. The asserts in them are part of the contract: one that fails ends the
trial as `failed`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract_base import BASE
from contract_state_styles import STATE_STYLES


@dataclass(frozen=True)
class Style:
    """A submission, and how its trial has to go."""

    more: str
    outcome: str = "out of steps"
    files: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] | None = None
    compiles_anew: bool = False  # by design
    resumed: bool = False  # whether it is also interrupted and resumed

    @property
    def source(self) -> str:
        return BASE + self.more


OWN_MESH = """
MESH = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
OWN = jax.sharding.NamedSharding(MESH, jax.sharding.PartitionSpec())
OWN_SPLIT = jax.sharding.NamedSharding(MESH, jax.sharding.PartitionSpec("batch"))
SIZES = {"imagenet_resnet": 1024}

def get_batch_size(workload_name):
    return SIZES[workload_name]

def own_step(workload, *arguments):
    arguments = list(arguments)
    arguments[3] = jax.lax.with_sharding_constraint(arguments[3], OWN_SPLIT)
    result = train_step(workload, *arguments)
    return jax.lax.with_sharding_constraint(result, OWN)

jitted = jax.jit(own_step, static_argnums=(0,))
"""

STATIC_BY_NAME = """
no_shardings = jax.jit(train_step, static_argnames="workload", donate_argnums=(1, 2, 3))

def jitted(workload, *arguments):
    return no_shardings(workload, *arguments)
"""

EAGER = """
def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state,
    hyperparameters, global_step, rng,
):
    batch = next(input_queue)
    call = functools.partial(
        workload.model_fn, current_param_container, batch, model_state, rng=rng
    )
    train, evaluation = spec.ForwardPassMode.TRAIN, spec.ForwardPassMode.EVAL
    (frozen, _), state = call(mode=train, update_batch_norm=False, dropout_rate=0.0)
    jax.tree.map(np.testing.assert_array_equal, state, model_state)
    (averages, _), _ = call(mode=evaluation, update_batch_norm=False)
    np.testing.assert_allclose(frozen, averages, rtol=1e-5, atol=1e-6)
    (dropped, _), moved = call(mode=train, update_batch_norm=True)
    assert not np.allclose(dropped, averages), "the default rate drops something"
    assert jax.tree.structure(moved) == jax.tree.structure(model_state)
    return batch
"""

FROZEN_NORM = """
def loss_of(workload, params, model_state, batch, rng, dropout_rate, smoothing):
    logits, new_state = workload.model_fn(
        params, batch, model_state, spec.ForwardPassMode.TRAIN, rng,
        update_batch_norm=False, dropout_rate=dropout_rate,
    )
    result = workload.loss_fn(batch["targets"], logits, batch["weights"])
    return result["summed"] / result["n_valid_examples"], new_state

def after(workload, logged, global_step):
    assert logged["loss"] > 0

def prepare_for_eval(*, current_param_container, model_state, optimizer_state, **rest):
    for leaf in jax.tree.leaves(model_state["batch_stats"]["norm"]["mean"]):
        np.testing.assert_array_equal(leaf, jnp.zeros_like(leaf))
    return optimizer_state, current_param_container, model_state
"""

LOGS = """
def after(workload, logged, global_step):
    if workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics(
            {"loss": logged["loss"], "rate": 0.05}, global_step
        )
"""

HELPERS = """
import bare_helper
from . import relative_helper
from .relative_helper import RATE
from pathlib import Path

DROP = float((Path(__file__).parent / "drop.txt").read_text())

def options(hyperparameters):
    assert bare_helper.SMOOTHING == relative_helper.twice(0.05)
    return RATE, DROP, bare_helper.SMOOTHING
"""
HELPER_FILES = {
    "bare_helper.py": "SMOOTHING = 0.1\n",
    "relative_helper.py": "RATE = 0.05\ndef twice(x): return 2 * x\n",
    "drop.txt": "0.2\n",
}

TRAIN_STATE = """
eleven = update_params

def update_params(
    workload, current_param_container, current_params_types, model_state,
    hyperparameters, batch, loss_type, optimizer_state, eval_results, global_step, rng,
    train_state,
):
    arguments = dict(locals())
    del arguments["train_state"]
    assert hyperparameters is None and workload.step_hint == 20
    assert train_state["is_time_remaining"] and not train_state["training_complete"]
    assert train_state["accumulated_submission_time"] >= 0.0
    assert len(eval_results) == (0, 1, 2, 2, 3)[global_step]
    for step, values in eval_results:
        assert step <= global_step and np.isfinite(values["validation/loss"])
        assert {"train/loss", "test/loss", "score", "total_duration"} <= set(values)
    try:
        train_state["training_complete"] = True
    except TypeError:
        return eleven(**arguments)
    raise AssertionError("train_state can be written")
"""

EXTERNAL = """
def options(hyperparameters):
    return (
        hyperparameters.learning_rate, hyperparameters.dropout_rate,
        hyperparameters.label_smoothing,
    )
"""
POINT = {"learning_rate": 0.05, "dropout_rate": 0.2, "label_smoothing": 0.1}

MIXES = """
def data_selection(workload, input_queue, *unused):
    first, second = next(input_queue), next(input_queue)
    return mix(first, second)

@functools.partial(jax.jit, out_shardings=SPLIT)
def mix(first, second):
    return jax.tree.map(
        lambda a, b: jnp.where(
            jnp.reshape(jnp.arange(len(a)) % 2 == 0, (-1,) + (1,) * (a.ndim - 1)), a, b
        ),
        first, second,
    )
"""

ROUTES = """
def kind(path, leaf):
    key = "/".join(str(entry.key) for entry in path)
    assert path[-1].key in ("kernel", "bias", "scale", "embedding"), key
    if "embed" in key:
        return "embed"
    return "matrix" if leaf.ndim >= 2 else "vector"

RATES = {"embed": 0.1, "matrix": 0.05, "vector": 0.02}

def train_step(workload, state, params, model_state, batch, rng, rate, drop, smooth):
    of_params = lambda p: loss_of(workload, p, model_state, batch, rng, drop, smooth)
    (loss, model_state), grads = jax.value_and_grad(of_params, has_aux=True)(params)
    kinds = jax.tree_util.tree_map_with_path(kind, params)
    assert set(jax.tree.leaves(kinds)) == set(RATES)
    params = jax.tree.map(lambda k, p, g: p - RATES[k] * g, kinds, params, grads)
    return state, params, model_state, {"loss": loss}

jitted = jax.jit(train_step, static_argnums=0, out_shardings=REPLICATED)
"""

TYPES = """
eleven = update_params

def update_params(current_params_types, current_param_container, **arguments):
    types, params = current_params_types, current_param_container
    assert jax.tree.structure(types) == jax.tree.structure(params)
    names = {kind.name for kind in jax.tree.leaves(types)}
    assert {
        "EMBEDDING", "CONV_WEIGHT", "BATCH_NORM_SCALE", "LAYER_NORM_BIAS", "WEIGHT",
        "ATTENTION_Q", "ATTENTION_OUT", "BIAS",
    } <= names, names
    assert arguments.pop("train_state")
    assert arguments["loss_type"] == spec.LossType.SOFTMAX_CROSS_ENTROPY
    return eleven(
        current_params_types=types, current_param_container=params, **arguments
    )
"""

PROBES = """
def data_selection(workload, input_queue, optimizer_state, params, model_state, *rest):
    assert len({workload, workload}) == 1 and workload == workload
    is_shape = lambda leaf: hasattr(leaf, "shape_tuple")
    assert all(map(is_shape, jax.tree.leaves(workload.param_shapes)))
    assert jax.tree.structure(workload.param_shapes) == jax.tree.structure(params)
    shapes = jax.tree.map(lambda p, s: p.shape == s.shape_tuple,
                          params, workload.param_shapes)
    assert all(jax.tree.leaves(shapes))
    assert type(params) is dict and type(params["output"]) is dict
    batch = next(input_queue)
    assert type(batch) is dict and batch.get("absent") is None
    for leaf in jax.tree.leaves(batch):
        assert leaf.shape[0] % jax.device_count() == 0
        if not isinstance(leaf, np.ndarray):
            assert leaf.sharding.is_equivalent_to(SPLIT, leaf.ndim)
    for leaf in jax.tree.leaves((params, model_state, optimizer_state)):
        assert leaf.committed and leaf.sharding.is_equivalent_to(REPLICATED, leaf.ndim)
    assert REPLICATED == jax_sharding_utils.get_replicate_sharding()
    assert SPLIT.mesh.axis_names == ("batch",)
    assert list(SPLIT.mesh.devices.flat) == jax.devices()
    return batch
"""


def done(function: str) -> str:
    """A submission that says in this function, from step 2 on, that it is done."""
    return f"""
before = globals().get("{function}")
def {function}(*arguments, **named):
    step = named["global_step"] if named else arguments[6]
    if step >= 2:
        raise spec.TrainingCompleteError
    if before is not None:
        named.pop("train_state", None)
        return before(*arguments, **named)
    if named:
        return (named["optimizer_state"], named["current_param_container"],
                named["model_state"])
    return next(arguments[1])
"""


STOPPED = "stopped by submission"
STYLES: dict[str, Style] = {
    "prefix_shardings": Style(""),
    "own_mesh": Style(OWN_MESH),
    "static_by_name": Style(STATIC_BY_NAME),
    "eager": Style(EAGER),
    "frozen_norm": Style(FROZEN_NORM),
    "logs": Style(LOGS),
    "helpers": Style(HELPERS, files=HELPER_FILES),
    "train_state": Style(TRAIN_STATE),
    "external": Style(EXTERNAL, hyperparameters=POINT),
    "mixes_batches": Style(MIXES),
    "routes_by_path": Style(ROUTES),
    "routes_by_type": Style(TYPES),
    "probes": Style(PROBES),
    "done_in_update": Style(done("update_params"), outcome=STOPPED),
    "done_in_data": Style(done("data_selection"), outcome=STOPPED),
    "done_in_prepare": Style(done("prepare_for_eval"), outcome=STOPPED),
    **{name: Style(**values) for name, values in STATE_STYLES.items()},
}
