"""Batch normalisation: whose statistics are used, and when they are kept."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fakes import made_up_facts
from flax import linen as nn

from algoperf import losses
from algoperf.data import ArraySource
from algoperf.jax_sharding_utils import replicate, shard_along_batch_dim
from algoperf.metrics import CLASSIFICATION
from algoperf.spec import ForwardPassMode, ParameterType
from algoperf.workload import Workload

FEATURES, MOMENTUM, EPSILON = 3, 0.75, 1e-3
TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY = jax.random.PRNGKey(0)
RANDOM = np.random.default_rng(2)
INPUTS = RANDOM.normal(loc=4.0, scale=2.0, size=(8, FEATURES)).astype(np.float32)
RUNNING_MEAN = np.array([1.0, 2.0, 3.0], np.float32)
RUNNING_VAR = np.array([0.5, 1.0, 4.0], np.float32)
SCALE = np.array([1.0, -2.0, 0.5], np.float32)
BIAS = np.array([0.0, 1.0, -1.0], np.float32)


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, use_running_average):
        return nn.BatchNorm(
            use_running_average, momentum=MOMENTUM, epsilon=EPSILON, name="norm"
        )(x)


def feed(apply, batch, options):
    return apply(batch["inputs"], use_running_average=options.use_running_average)


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload(
        facts=made_up_facts(),
        model=Normalised(),
        example_batch={"inputs": jax.ShapeDtypeStruct((1, FEATURES), jnp.float32)},
        forward=feed,
        loss=losses.softmax_cross_entropy,
        metrics=CLASSIFICATION,
        data=ArraySource(dict, 8, lambda raw: raw),
    )


def params() -> dict[str, Any]:
    return {"norm": {"scale": SCALE, "bias": BIAS}}


def state() -> dict[str, Any]:
    return {"batch_stats": {"norm": {"mean": RUNNING_MEAN, "var": RUNNING_VAR}}}


def normalised(mean, var) -> np.ndarray:
    return (INPUTS - mean) / np.sqrt(var + EPSILON) * SCALE + BIAS


def by_batch() -> np.ndarray:
    return normalised(INPUTS.mean(axis=0), INPUTS.var(axis=0))


def by_running_average() -> np.ndarray:
    return normalised(RUNNING_MEAN, RUNNING_VAR)


def running_average_after() -> dict[str, Any]:
    mean = MOMENTUM * RUNNING_MEAN + (1 - MOMENTUM) * INPUTS.mean(axis=0)
    var = MOMENTUM * RUNNING_VAR + (1 - MOMENTUM) * INPUTS.var(axis=0)
    return {"batch_stats": {"norm": {"mean": mean, "var": var}}}


def assert_close(ours: Any, expected: Any) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        ours,
        expected,
    )


def assert_unchanged(new_state: Any) -> None:
    assert jax.tree.structure(new_state) == jax.tree.structure(state())
    jax.tree.map(np.testing.assert_array_equal, new_state, state())


@pytest.fixture(params=["eager", "jitted", "two devices"])
def forward(request, workload):
    """(mode, update_batch_norm, ...) -> (outputs, new state), run in three ways."""

    def run(mode: ForwardPassMode, update: bool, **options: Any):
        call = functools.partial(
            workload.model_fn, mode=mode, rng=KEY, update_batch_norm=update, **options
        )
        batch = {"inputs": INPUTS}
        if request.param == "eager":
            return call(params(), batch, state())
        if request.param == "jitted":
            return jax.jit(call)(params(), batch, state())
        placed = replicate(params()), shard_along_batch_dim(batch), replicate(state())
        return jax.jit(call)(*placed)

    return run


def test_an_update_uses_the_batch_and_moves_the_running_averages(forward):
    outputs, new_state = forward(TRAIN, True)
    assert_close(outputs, by_batch())
    assert_close(new_state, running_average_after())


def test_without_an_update_training_uses_running_averages_and_keeps_them(forward):
    outputs, new_state = forward(TRAIN, False)
    assert_close(outputs, by_running_average())
    assert_unchanged(new_state)


def test_the_batch_can_be_used_without_an_update(forward):
    outputs, new_state = forward(TRAIN, False, use_running_average_bn=False)
    assert_close(outputs, by_batch())
    assert_unchanged(new_state)


def test_running_averages_can_be_used_in_an_update_that_changes_nothing(forward):
    outputs, new_state = forward(TRAIN, True, use_running_average_bn=True)
    assert_close(outputs, by_running_average())
    assert_unchanged(new_state)


@pytest.mark.parametrize("update", [False, True])
def test_an_evaluation_uses_running_averages_and_keeps_them(forward, update):
    outputs, new_state = forward(EVAL, update)
    assert_close(outputs, by_running_average())
    assert_unchanged(new_state)


def test_an_evaluation_keeps_the_state_even_when_it_uses_the_batch(forward):
    outputs, new_state = forward(EVAL, True, use_running_average_bn=False)
    assert_close(outputs, by_batch())
    assert_unchanged(new_state)


def test_statistics_are_over_the_global_batch_and_not_over_each_device(workload):
    # The halves differ, so statistics per device would give another answer.
    first, second = np.split(INPUTS, 2)
    assert np.all(np.abs(first.mean(axis=0) - second.mean(axis=0)) > 1e-3)
    batch = shard_along_batch_dim({"inputs": INPUTS})
    assert len(batch["inputs"].addressable_shards) == 2
    outputs, new_state = workload.model_fn(
        replicate(params()), batch, replicate(state()), TRAIN, KEY, True
    )
    assert_close(outputs, by_batch())
    assert_close(new_state, running_average_after())


def test_gradients_are_those_of_one_device(workload):
    @jax.jit
    def loss(inputs, params, state):
        outputs, _ = workload.model_fn(
            params, {"inputs": inputs}, state, TRAIN, KEY, True
        )
        return jnp.mean(outputs**4)

    single = jax.grad(loss)(INPUTS, params(), state())
    assert np.max(np.abs(single)) > 1e-2
    double = jax.grad(loss)(
        shard_along_batch_dim(INPUTS), replicate(params()), replicate(state())
    )
    np.testing.assert_allclose(double, single, rtol=1e-4, atol=1e-6)


def test_the_first_state_is_mean_0_and_variance_1_on_every_device(workload):
    first_params, first_state = workload.init_model_fn(KEY)
    zeros, ones = np.zeros(FEATURES), np.ones(FEATURES)
    assert_close(first_state, {"batch_stats": {"norm": {"mean": zeros, "var": ones}}})
    assert_close(first_params, {"norm": {"scale": ones, "bias": zeros}})
    for leaf in jax.tree.leaves((first_params, first_state)):
        assert leaf.is_fully_replicated
        assert len(leaf.addressable_shards) == 2


def test_the_state_is_no_parameter(workload):
    assert workload.num_params == 2 * FEATURES
    assert workload.model_params_types == {
        "norm": {
            "scale": ParameterType.BATCH_NORM_SCALE,
            "bias": ParameterType.BATCH_NORM_BIAS,
        }
    }


def test_two_updates_follow_one_another(workload):
    step = jax.jit(
        lambda state: workload.model_fn(
            params(), {"inputs": INPUTS}, state, TRAIN, KEY, True
        )[1]
    )
    after = running_average_after()["batch_stats"]["norm"]
    twice = step(step(state()))["batch_stats"]["norm"]
    for name, batch_value in (
        ("mean", INPUTS.mean(axis=0)),
        ("var", INPUTS.var(axis=0)),
    ):
        expected = MOMENTUM * after[name] + (1 - MOMENTUM) * batch_value
        np.testing.assert_allclose(twice[name], expected, rtol=1e-4)
