"""What the simplest workloads promise in detail, and mnist on made-up files."""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import mnist_files
import numpy as np
import pytest
from fakes import compiled_functions

from algoperf.evaluate import evaluate
from algoperf.facts import EVAL_SPLITS
from algoperf.jax_sharding_utils import shard_along_batch_dim
from algoperf.spec import ForwardPassMode, LossType, ParameterType, ShapeTuple
from algoperf.workload import Workload
from workloads.loading import load

SIMPLE = ["digits", "mnist_mini"]
TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY, OTHER_KEY = jax.random.PRNGKey(0), jax.random.PRNGKey(1)

# Name -> (number of params, the top-level modules, the one that makes the output).
KNOWN = {
    "digits": (26_122, {"hidden_0", "hidden_1", "output"}, "output"),
    "mnist": (101_770, {"Dense_0", "Dense_1"}, "Dense_1"),
    "mnist_mini": (101_770, {"Dense_0", "Dense_1"}, "Dense_1"),
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    mnist_files.write_idx(folder / "mnist")
    return folder


@pytest.fixture(scope="module", params=[*SIMPLE, "mnist"])
def workload(request, data_dir) -> Workload:
    return load(request.param, data_dir)


@pytest.fixture(scope="module")
def digits() -> tuple[Workload, Any, Any]:
    """The workload, its first params and its first state."""
    workload = load("digits")
    return workload, *workload.init_model_fn(KEY)


@pytest.fixture(scope="module")
def initial(workload) -> tuple[Any, Any]:
    return workload.init_model_fn(KEY)


def first_batch(workload: Workload, size: int = 16) -> dict[str, Any]:
    return dict(next(workload.data.batches("train", size, seed=0)))


@functools.partial(jax.jit, static_argnums=0, static_argnames="mode")
def mean_loss(workload, params, state, batch, rng, smoothing=0.0, *, mode, **options):
    """What a submission computes, with the workload as a static argument."""
    logits, state = workload.model_fn(
        params, batch, state, mode, rng, update_batch_norm=mode == TRAIN, **options
    )
    weights = batch.get("weights")
    loss = workload.loss_fn(batch["targets"], logits, weights, smoothing)
    return loss["summed"] / loss["n_valid_examples"]


def test_training_batches_are_like_the_example(workload):
    for size in (16, 5):
        batch = first_batch(workload, size)
        assert batch.keys() == workload.example_batch.keys()
        for name, example in workload.example_batch.items():
            assert batch[name].shape == (size, *example.shape[1:])
            assert batch[name].dtype == example.dtype
            assert np.all(np.isfinite(batch[name]))


@pytest.mark.parametrize("split", EVAL_SPLITS)
def test_an_evaluation_has_as_many_examples_as_the_facts_say(workload, split):
    batches = list(workload.data.batches(split, 512, seed=0))
    assert sum(b["weights"].sum() for b in batches) == workload.facts.examples[split]


def test_an_epoch_has_as_many_examples_as_the_facts_say(workload):
    size = workload.num_train_examples
    batches = workload.data.batches("train", size, seed=0)
    first, second = (np.bincount(b["targets"]) for b in itertools.islice(batches, 2))
    np.testing.assert_array_equal(first, second)  # the same examples, in another order


def test_params_are_nested_dicts_of_float32_on_every_device(initial):
    params, state = initial
    assert state is None
    assert type(params) is dict
    assert all(type(module) is dict for module in params.values())
    for leaf in jax.tree.leaves(params):
        assert leaf.dtype == jnp.float32
        assert leaf.is_fully_replicated
        assert len(leaf.addressable_shards) == 2


def test_the_key_decides_the_params(workload, initial):
    again, _ = workload.init_model_fn(KEY)
    jax.tree.map(np.testing.assert_array_equal, again, initial[0])
    other, _ = workload.init_model_fn(OTHER_KEY)
    kernels = [leaf for leaf in jax.tree.leaves(initial[0]) if leaf.ndim > 1]
    others = [leaf for leaf in jax.tree.leaves(other) if leaf.ndim > 1]
    assert all(np.any(a != b) for a, b in zip(kernels, others, strict=True))


def test_shapes_and_types_have_the_tree_of_the_params(workload, initial):
    params, _ = initial
    for tree in (workload.param_shapes, workload.model_params_types):
        assert jax.tree.structure(tree) == jax.tree.structure(params)
        assert type(tree) is dict
    jax.tree.map(shape_of, workload.param_shapes, params)
    kinds = jax.tree.leaves(workload.model_params_types)
    assert all(isinstance(kind, ParameterType) for kind in kinds)


def shape_of(shape, param):
    assert isinstance(shape, ShapeTuple)
    assert shape.shape_tuple == param.shape


@pytest.mark.parametrize("name", KNOWN)
def test_the_model_is_the_known_one(name, data_dir):
    count, modules, output = KNOWN[name]
    workload = load(name, data_dir)
    assert workload.num_params == count
    assert set(workload.param_shapes) == modules
    assert [key for key in modules if workload.is_output_params(key)] == [output]
    for module in workload.model_params_types.values():
        assert module == {"kernel": ParameterType.WEIGHT, "bias": ParameterType.BIAS}


def test_the_loss_and_its_gradient_are_finite_in_both_modes(workload, initial):
    batch = first_batch(workload)
    for mode in (TRAIN, EVAL):
        loss, grads = jax.value_and_grad(mean_loss, argnums=1)(
            workload, *initial, batch, KEY, mode=mode
        )
        assert loss > 0
        assert all(np.all(np.isfinite(grad)) for grad in jax.tree.leaves(grads))
        assert jax.tree.structure(grads) == jax.tree.structure(initial[0])


def test_a_forward_pass_gives_the_same_eagerly_jitted_and_on_two_devices(
    workload, initial
):
    params, state = initial
    batch = first_batch(workload)
    call = functools.partial(
        workload.model_fn, mode=EVAL, rng=KEY, update_batch_norm=False
    )
    eager, new_state = call(params, batch, state)
    assert new_state is None
    assert eager.shape == (16, 10)
    for placed in (batch, shard_along_batch_dim(batch)):
        jitted, _ = jax.jit(call)(params, placed, state)
        np.testing.assert_allclose(jitted, eager, rtol=1e-4, atol=1e-5)


def test_an_evaluation_ignores_the_key_and_dropout(workload, initial):
    batch = first_batch(workload)
    losses = {
        float(mean_loss(workload, *initial, batch, key, mode=EVAL, **options))
        for key in (KEY, OTHER_KEY)
        for options in ({}, {"dropout_rate": 0.5})
    }
    assert len(losses) == 1


def test_training_with_dropout_depends_on_the_key(digits):
    arguments = (*digits, first_batch(digits[0]))
    with_key, again, with_other_key = (
        mean_loss(*arguments, key, mode=TRAIN, dropout_rate=0.5)
        for key in (KEY, KEY, OTHER_KEY)
    )
    assert with_key == again
    assert with_key != with_other_key


def test_without_a_rate_training_uses_the_one_of_the_workload(digits):
    workload, *initial = digits
    arguments = (*initial, first_batch(workload), KEY)
    dropping = dataclasses.replace(workload, default_dropout_rate=0.5)
    with_half = mean_loss(workload, *arguments, mode=TRAIN, dropout_rate=0.5)
    assert mean_loss(dropping, *arguments, mode=TRAIN) == with_half
    assert mean_loss(workload, *arguments, mode=TRAIN) != with_half


def test_dropout_rate_and_label_smoothing_may_be_traced(workload, initial):
    batch = first_batch(workload)

    def loss(rate, smoothing):
        return mean_loss(
            workload, *initial, batch, KEY, smoothing, mode=TRAIN, dropout_rate=rate
        )

    before, cached = loss(0.0, 0.0), mean_loss._cache_size()
    assert loss(0.0, 0.5) != before
    assert (loss(0.9, 0.0) != before) == (workload.facts.name == "digits")
    assert mean_loss._cache_size() == cached


def test_a_workload_is_a_static_argument_that_compiles_once(workload, initial):
    batch = first_batch(workload, 18)
    other = jax.tree.map(lambda leaf: leaf + 1, initial)
    with compiled_functions() as names:
        mean_loss(workload, *initial, batch, KEY, mode=TRAIN)
    assert sum("mean_loss" in name for name in names) == 1
    with compiled_functions() as names:
        mean_loss(workload, *initial, batch, OTHER_KEY, mode=TRAIN)
        mean_loss(workload, *other, batch, KEY, mode=TRAIN)
    assert names == []


def test_a_workload_is_itself_alone_and_frozen(workload, data_dir):
    twin: Any = load(workload.facts.name, data_dir)
    assert workload == workload
    assert twin != workload
    assert len({workload, twin, workload}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        twin.facts = workload.facts


def test_the_eval_batch_size_does_not_change_an_evaluation(workload, initial):
    values = evaluate(workload, *initial, KEY)
    sizes = [1_000, 333, workload.num_test_examples]
    for size in sizes:
        other = workload.eval_model(size, *initial, OTHER_KEY)
        assert other.keys() == values.keys()
        for name, value in values.items():
            exact = not name.endswith("loss")
            expected = value if exact else pytest.approx(value, rel=1e-5)
            assert other[name] == expected, (size, name)


def test_a_workload_tells_its_facts_under_algoperfs_names(workload):
    facts = workload.facts
    assert workload.loss_type == LossType.SOFTMAX_CROSS_ENTROPY
    assert workload.step_hint == facts.step_hint
    assert workload.target_metric_name == "accuracy"
    assert workload.max_allowed_runtime_sec == facts.max_runtime_s
    assert workload.eval_period_time_sec == facts.eval_period_s
    assert workload.eval_batch_size == facts.eval_batch_size
    sizes = {
        "train": workload.num_train_examples,
        "eval_train": workload.num_eval_train_examples,
        "validation": workload.num_validation_examples,
        "test": workload.num_test_examples,
    }
    assert sizes == facts.examples


@pytest.mark.parametrize(("margin", "expected"), [(0, True), (-1e-9, False)])
def test_a_workload_knows_when_its_targets_are_reached(workload, margin, expected):
    result = {
        "validation/accuracy": workload.validation_target_value + margin,
        "test/accuracy": workload.test_target_value + margin,
    }
    assert workload.has_reached_validation_target(result) is expected
    assert workload.has_reached_test_target(result) is expected


def test_a_metrics_logger_can_be_attached():
    workload, logger = load("digits"), object()
    workload.attach_metrics_logger(logger)
    assert workload.metrics_logger is logger


def test_the_output_activation_gives_probabilities(workload):
    logits = np.array([[0.0, np.log(3.0)]], np.float32)
    probabilities = workload.output_activation_fn(logits, "jax")
    np.testing.assert_allclose(probabilities, [[0.25, 0.75]], rtol=1e-6)
