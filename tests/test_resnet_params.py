"""ResNet's parameters: the known trees and types, initial values, first gradients."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
import pytest

from algoperf.spec import ForwardPassMode, ParameterType
from workloads.cifar.model import cifar_resnet
from workloads.imagenet.resnet import ResNet, feed_resnet

TRAIN, KEY = ForwardPassMode.TRAIN, jax.random.PRNGKey(0)
IMAGES = np.random.default_rng(12).normal(size=(4, 16, 16, 3)).astype(np.float32)


def resnet_table(
    stage_sizes, filters, classes, block, convolutions, growth, first
) -> dict[str, tuple[int, ...]]:
    """Every path and shape; `convolutions` are (kernel size, channels / filters)."""
    table = {"Conv_init/kernel": (first, first, 3, filters)}
    table |= norm_table("BatchNorm_init", filters)
    channels, index = filters, 0
    for stage, blocks in enumerate(stage_sizes):
        for i in range(blocks):
            name, inner = f"{block}_{index}", channels
            wide = filters * 2**stage
            for j, (size, factor) in enumerate(convolutions):
                shape = (size, size, inner, factor * wide)
                table[f"{name}/Conv_{j}/kernel"] = shape
                table |= norm_table(f"{name}/BatchNorm_{j}", factor * wide)
                inner = factor * wide
            if i == 0 and (stage > 0 or growth > 1):
                table[f"{name}/Conv_proj/kernel"] = (1, 1, channels, inner)
                table |= norm_table(f"{name}/BatchNorm_proj", inner)
            channels, index = inner, index + 1
    table["Dense_0/kernel"] = (channels, classes)
    return table | {"Dense_0/bias": (classes,)}


def norm_table(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/scale": (channels,), f"{name}/bias": (channels,)}


RESNET_50 = resnet_table(
    (3, 4, 6, 3), 64, 1000, "BottleneckResNetBlock", [(1, 1), (3, 1), (1, 4)], 4, 7
)
CIFAR_RESNET = resnet_table((2, 2, 2, 2), 64, 10, "ResNetBlock", [(3, 1), (3, 1)], 1, 3)
# Model -> (its table, number of params, convolutions).
KNOWN = {
    "resnet50": (ResNet(), RESNET_50, 25_557_032, 53),
    "large_bn_init": (ResNet(last_bn_scale=8.0), RESNET_50, 25_557_032, 53),
    "silu": (ResNet(activation="silu"), RESNET_50, 25_557_032, 53),
    "cifar": (cifar_resnet(), CIFAR_RESNET, 11_173_962, 20),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_tree_is_the_known_one(name):
    model, table, count, convolutions = KNOWN[name]
    shapes = jax.eval_shape(lambda: model.init(KEY, jnp.zeros((1, 32, 32, 3)), True))
    ours = plain.shape_table(shapes["params"])
    assert ours == table
    assert sum(math.prod(shape) for shape in ours.values()) == count
    assert set(shapes) == {"params", "batch_stats"}
    # The state: a mean and a variance for every scale and bias, of their shape.
    expected = {
        path.replace("scale", "mean").replace("bias", "var"): shape
        for path, shape in table.items()
        if "BatchNorm" in path
    }
    assert plain.shape_table(shapes["batch_stats"]) == expected
    assert len(expected) == 2 * convolutions
    kinds = plain.image_workload(model, feed_resnet).model_params_types
    assert collections.Counter(jax.tree.leaves(kinds)) == {
        ParameterType.CONV_WEIGHT: convolutions,
        ParameterType.BATCH_NORM_SCALE: convolutions,
        ParameterType.BATCH_NORM_BIAS: convolutions,
        ParameterType.WEIGHT: 1,
        ParameterType.BIAS: 1,
    }
    assert kinds["Dense_0"]["kernel"] == ParameterType.WEIGHT


@pytest.fixture(scope="module")
def started():
    """A workload with its first params and state; its second block only adds."""
    workload = plain.image_workload(ResNet((2,), 16, 200), feed_resnet)
    return workload, *workload.init_model_fn(KEY)


def test_initial_values_are_the_documented_ones(started):
    _, params, state = started
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *owners, name = (key.key for key in path)
        values = np.asarray(leaf)
        if owners[-1].startswith("Conv"):
            check_lecun_normal(values)
        elif owners == ["Dense_0"] and name == "kernel":
            np.testing.assert_allclose(values.std(), 0.01, rtol=0.03)
            assert abs(values.mean()) < 3e-4
            assert np.abs(values).max() > 0.035  # not cut off at 2 or 3 deviations
        elif name == "scale":
            last = owners[-1] == "BatchNorm_2"
            np.testing.assert_array_equal(values, 0.0 if last else 1.0)
        else:
            np.testing.assert_array_equal(values, 0.0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state["batch_stats"]):
        np.testing.assert_array_equal(leaf, 1.0 if path[-1].key == "var" else 0.0)


def check_lecun_normal(values: np.ndarray) -> None:
    """Normal of variance 1 / fan-in, cut off at two of its deviations."""
    std = 1 / math.sqrt(math.prod(values.shape[:-1]))
    spread = 4 / math.sqrt(2 * values.size)
    np.testing.assert_allclose(values.std(), std, rtol=spread)
    # A normal cut off at 2 has deviation 0.8796.
    assert np.abs(values).max() <= 2 * std / 0.8796 * 1.001


@pytest.mark.parametrize(
    ("model", "last"),
    [
        (ResNet(last_bn_scale=8.0), "BatchNorm_2"),
        (cifar_resnet(last_bn_scale=8.0), "BatchNorm_1"),
    ],
)
def test_the_last_scale_of_a_block_may_start_at_8(model, last):
    @jax.jit  # so that kernels, which nobody looks at, are not drawn
    def scales():
        variables = model.init(KEY, jnp.zeros((1, 8, 8, 3)), True)
        leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
        return {
            tuple(key.key for key in path): leaf
            for path, leaf in leaves
            if path[-1].key == "scale"
        }

    for path, scale in scales().items():
        np.testing.assert_array_equal(scale, 8.0 if path[1] == last else 1.0)


def test_a_block_of_scale_0_is_the_identity(started):
    workload, params, state = started
    batch = {"inputs": IMAGES}
    block = plain.random_like(params["BottleneckResNetBlock_1"])
    block["BatchNorm_2"] = params["BottleneckResNetBlock_1"]["BatchNorm_2"]

    @jax.jit
    def logits(params):
        return workload.model_fn(params, batch, state, TRAIN, KEY, True)[0]

    expected = logits(params)
    np.testing.assert_array_equal(
        logits(params | {"BottleneckResNetBlock_1": block}), expected
    )
    assert np.std(expected) > 0


def test_the_gradient_is_finite_at_the_start(started):
    workload, params, state = started
    batch = {"inputs": IMAGES, "targets": np.arange(4)}

    @jax.jit
    def gradients(params):
        def loss(params):
            logits, _ = workload.model_fn(params, batch, state, TRAIN, KEY, True)
            return workload.loss_fn(batch["targets"], logits)["summed"]

        return jax.value_and_grad(loss)(params)

    loss, grads = gradients(params)
    np.testing.assert_allclose(loss / 4, math.log(200), rtol=0.02)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    # A block that starts as the identity is left through the scale that is 0.
    assert np.any(grads["BottleneckResNetBlock_1"]["BatchNorm_2"]["scale"] != 0)
    assert np.any(grads["Conv_init"]["kernel"] != 0)
