"""U-Net: outputs against plain NumPy, its parameters, dropout and errors."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
import pytest
from plain_graphs import dataless, layer_norm_epsilons

from algoperf.facts import UserError
from algoperf.layers import Dropout
from algoperf.spec import ForwardPassMode
from algoperf.spec import ParameterType as P
from workloads.fastmri.reconstruction import RECONSTRUCTION, mean_absolute_error
from workloads.fastmri.unet import TransposeConvBlock, UNet, feed_unet

TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY, OTHER_KEY = jax.random.PRNGKey(0), jax.random.PRNGKey(1)
SMALL = {"num_channels": 3, "num_pool_layers": 2}
RANDOM = np.random.default_rng(5)
# Both sides become odd on the way down, in different layers: 13, 6, 3 and 10, 5, 2.
IMAGES = RANDOM.normal(size=(3, 13, 10)).astype(np.float32)


def shapes_of(model: UNet, size: int = 32):
    images = jax.ShapeDtypeStruct((1, size, size), jnp.float32)
    return jax.eval_shape(model.init, KEY, images)["params"]


def workload_of(model: UNet):
    shape = jax.ShapeDtypeStruct((1, 16, 16), jnp.float32)
    return dataless(
        model, feed_unet, {"inputs": shape}, mean_absolute_error, RECONSTRUCTION
    )


def instance_norm(x):
    mean = x.mean(axis=(1, 2), keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=(1, 2), keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


def image_norm(params, x):
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=(1, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * params["scale"] + params["bias"]


def conv_block(params, x, activation):
    for i in range(2):
        x = plain.convolve(x, params[f"Conv_{i}"]["kernel"])
        norm = params.get(f"LayerNorm_{i}")
        x = activation(instance_norm(x) if norm is None else image_norm(norm, x))
    return x


def double(params, x, activation):
    """Each pixel becomes 2x2 of them; the kernel lies upside down, as Flax has it."""
    kernel = params["ConvTranspose_0"]["kernel"].astype(np.float64)
    batch, height, width, _ = x.shape
    y = np.zeros((batch, 2 * height, 2 * width, kernel.shape[-1]))
    for row in range(2):
        for column in range(2):
            y[:, row::2, column::2] = x @ kernel[1 - row, 1 - column]
    return activation(instance_norm(y))


def plain_unet(params, images, layers, activation):
    x, skips = images.astype(np.float64)[..., None], []
    for i in range(layers):
        x = conv_block(params[f"ConvBlock_{i}"], x, activation)
        skips.append(x)
        height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
        x = x[:, :height, :width]
        x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    x = conv_block(params[f"ConvBlock_{layers}"], x, activation)
    for i in range(layers):
        x, skip = double(params[f"TransposeConvBlock_{i}"], x, activation), skips.pop()
        if x.shape[1] < skip.shape[1]:
            x = np.concatenate([x, x[:, -2:-1]], axis=1)
        if x.shape[2] < skip.shape[2]:
            x = np.concatenate([x, x[:, :, -2:-1]], axis=2)
        x = np.concatenate([x, skip], axis=-1)
        x = conv_block(params[f"ConvBlock_{layers + 1 + i}"], x, activation)
    last = params["Conv_0"]
    return (x @ last["kernel"][0, 0] + last["bias"])[..., 0]


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


@pytest.mark.parametrize(
    ("fields", "activation"),
    [
        ({}, leaky_relu),
        ({"activation": "tanh"}, np.tanh),
        ({"layer_norm": True}, leaky_relu),
    ],
)
def test_outputs_are_those_of_plain_numpy(fields, activation):
    model = UNet(**SMALL, **fields)
    params = plain.random_like(shapes_of(model))
    expected = plain_unet(params, IMAGES, 2, activation)
    ours = jax.jit(model.apply)({"params": params}, IMAGES)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 0.05


def test_a_faint_image_shows_the_epsilon_of_the_norm():
    # Of pixels near 0.003 the first variance is near 1e-5, the epsilon itself.
    model = UNet(**SMALL)
    params = plain.random_like(shapes_of(model))
    expected = plain_unet(params, 0.003 * IMAGES, 2, leaky_relu)
    ours = jax.jit(model.apply)({"params": params}, 0.003 * IMAGES)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_layer_norms_add_a_millionth_to_the_variance():
    assert layer_norm_epsilons(UNet(**SMALL, layer_norm=True), IMAGES) == {1e-6}


def unet_table(channels=32, layers=4, layer_norm=False):
    """Every path and shape."""
    table, widths = {}, [channels * 2**i for i in range(layers + 1)]
    inputs = [1, *widths[:-1], *(2 * width for width in widths[-2::-1])]
    outputs = [*widths, *widths[-2::-1]]
    for i, (before, after) in enumerate(zip(inputs, outputs, strict=True)):
        table[f"ConvBlock_{i}/Conv_0/kernel"] = (3, 3, before, after)
        table[f"ConvBlock_{i}/Conv_1/kernel"] = (3, 3, after, after)
        if layer_norm:
            for name in ("LayerNorm_0", "LayerNorm_1"):
                table[f"ConvBlock_{i}/{name}/scale"] = (after,)
                table[f"ConvBlock_{i}/{name}/bias"] = (after,)
    for i, width in enumerate(widths[-2::-1]):
        path = f"TransposeConvBlock_{i}/ConvTranspose_0/kernel"
        table[path] = (2, 2, 2 * width, width)
    return table | {"Conv_0/kernel": (1, 1, channels, 1), "Conv_0/bias": (1,)}


@pytest.mark.parametrize(
    ("fields", "known", "count"),
    [
        ({}, {}, 7_756_097),
        ({"activation": "tanh"}, {}, 7_756_097),
        ({"layer_norm": True}, {"layer_norm": True}, 7_761_985),
        (
            {"num_pool_layers": 3, "num_channels": 64},
            {"layers": 3, "channels": 64},
            7_692_929,
        ),
    ],
)
def test_the_tree_is_the_known_one(fields, known, count):
    ours = plain.shape_table(shapes_of(UNet(**fields), 320))
    assert ours == unet_table(**known)
    assert sum(math.prod(shape) for shape in ours.values()) == count


def test_parameter_types_follow_the_layers():
    types = workload_of(UNet(layer_norm=True)).model_params_types
    assert collections.Counter(jax.tree.leaves(types)) == {
        P.CONV_WEIGHT: 2 * 9 + 4 + 1,
        P.BIAS: 1,
        P.LAYER_NORM_SCALE: 18,
        P.LAYER_NORM_BIAS: 18,
    }
    assert types["Conv_0"] == {"kernel": P.CONV_WEIGHT, "bias": P.BIAS}


def test_kernels_start_lecun_normal_and_the_bias_at_0():
    images, features = jnp.zeros((1, 8, 8)), jnp.zeros((1, 8, 8, 32))
    params = jax.jit(UNet(24, num_pool_layers=0).init)(KEY, images)["params"]
    doubling = jax.jit(TransposeConvBlock(32, jnp.tanh).init)(KEY, features)["params"]
    assert params["Conv_0"]["bias"] == 0
    for kernel in (
        params["ConvBlock_0"]["Conv_1"]["kernel"],
        doubling["ConvTranspose_0"]["kernel"],
    ):
        # LeCun normal, cut off at two deviations.
        std = 1 / math.sqrt(math.prod(kernel.shape[:-1]))
        np.testing.assert_allclose(np.std(kernel), std, rtol=0.05)
        assert np.abs(kernel).max() <= 2 * std / 0.8796 * 1.001


@pytest.fixture(scope="module")
def training():
    """(params, rate, key) -> (output, gradients), padding in the last image."""
    model = UNet(num_channels=3, num_pool_layers=1)
    workload = workload_of(model)
    targets = RANDOM.normal(size=IMAGES.shape).astype(np.float32)
    batch = {"inputs": IMAGES.copy(), "targets": targets}
    batch["inputs"][2] = batch["targets"][2] = 0

    @jax.jit
    def step(params, rate, key, mask):
        def loss(params):
            outputs, _ = workload.model_fn(
                params, batch, None, TRAIN, key, True, dropout_rate=rate
            )
            return workload.loss_fn(batch["targets"], outputs, mask)["summed"], outputs

        (_, outputs), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return outputs, gradients

    return workload, plain.random_like(shapes_of(model)), batch, step


def test_gradients_are_finite_and_reach_every_layer(training):
    _, params, _, step = training
    _, gradients = step(params, 0.0, KEY, np.array([1, 1, 0], np.float32))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(leaf)), path
        assert np.abs(leaf).max() > 1e-6, path


def test_a_batch_of_padding_has_no_gradient(training):
    _, params, _, step = training
    _, gradients = step(params, 0.1, KEY, np.zeros(3, np.float32))
    for leaf in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(leaf, 0.0)


def test_dropout_takes_a_traced_rate_and_a_key(training):
    workload, params, batch, step = training
    mask = np.ones(3, np.float32)
    evaluated, _ = jax.jit(
        lambda params: workload.model_fn(
            params, batch, None, EVAL, KEY, False, dropout_rate=0.9
        )
    )(params)
    kept, _ = step(params, 0.0, KEY, mask)
    np.testing.assert_allclose(kept, evaluated, rtol=1e-5, atol=1e-6)
    dropped, _ = step(params, 0.5, KEY, mask)
    np.testing.assert_array_equal(step(params, 0.5, KEY, mask)[0], dropped)
    for rate, key in ((0.5, OTHER_KEY), (0.4, KEY), (0.0, KEY)):
        assert np.abs(dropped - step(params, rate, key, mask)[0]).max() > 0.01
    assert step._cache_size() == 1
    # Nothing is left of the blocks at rate 1 but the last bias.
    nothing, _ = step(params, 1.0, KEY, mask)
    np.testing.assert_allclose(nothing, params["Conv_0"]["bias"][0], rtol=1e-6)


def test_dropout_takes_whole_channels():
    model = UNet(num_channels=8, num_pool_layers=1)
    params = plain.random_like(shapes_of(model))

    @jax.jit
    def forward(params):
        return model.apply(
            {"params": params},
            IMAGES,
            True,
            0.5,
            rngs={"dropout": KEY},
            capture_intermediates=lambda module, _: isinstance(module, Dropout),
        )

    maps = jax.tree.leaves(forward(params)[1]["intermediates"])
    assert len(maps) == 6  # two in each of three blocks
    for outputs in maps:
        zeros = np.mean(np.asarray(outputs) == 0, axis=(1, 2))
        assert set(np.unique(zeros)) == {0.0, 1.0}


def test_what_the_model_cannot_do_is_named():
    with pytest.raises(UserError) as error:
        shapes_of(UNet(activation="tanhh"))
    assert str(error.value) == (
        "UNet has no activation 'tanhh'; did you mean tanh? it must be one of "
        "leaky_relu, tanh. Change it in the workload's facts."
    )
    with pytest.raises(UserError) as error:
        shapes_of(UNet(), 15)
    assert str(error.value) == (
        "UNet got images of 15x15 pixels; with num_pool_layers=4 they must have 16 or "
        "more each way. Give larger images, or fewer layers in the workload's facts."
    )
