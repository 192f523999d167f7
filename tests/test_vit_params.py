"""ViT's parameters: the known trees and types, initial values and the first loss."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
import pytest

from algoperf.spec import ForwardPassMode
from algoperf.spec import ParameterType as P
from workloads.imagenet.vit import ViT, feed_vit

KEY = jax.random.PRNGKey(0)


def dense_table(name: str, inputs: int, outputs: int):
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def norm_table(name: str):
    return {f"{name}/scale": (384,), f"{name}/bias": (384,)}


def attention_table(name: str):
    table = {f"{name}/out/kernel": (6, 64, 384), f"{name}/out/bias": (384,)}
    for part in ("query", "key", "value"):
        table[f"{name}/{part}/kernel"] = (384, 6, 64)
        table[f"{name}/{part}/bias"] = (6, 64)
    return table


def mlp_table(name: str, glu: bool = False):
    table = dense_table(f"{name}/Dense_0", 384, 1536)
    if glu:
        table |= dense_table(f"{name}/Dense_1", 1536, 1536)
    return table | dense_table(f"{name}/Dense_{2 if glu else 1}", 1536, 384)


def vit_table(glu=False, post_ln=False, map_head=False):
    """Every path and shape of ViT-S/16."""
    table = {
        "conv_patch_extract/kernel": (16, 16, 3, 384),
        "conv_patch_extract/bias": (384,),
    }
    for i in range(12):
        block = f"Transformer/encoderblock_{i}"
        table |= norm_table(f"{block}/LayerNorm_0")
        table |= attention_table(f"{block}/MultiHeadDotProductAttention_1")
        table |= norm_table(f"{block}/LayerNorm_2")
        table |= mlp_table(f"{block}/MlpBlock_3", glu)
    if not post_ln:
        table |= norm_table("Transformer/encoder_layernorm")
    if map_head:
        table["MAPHead_0/probe"] = (1, 1, 384)
        table |= attention_table("MAPHead_0/MultiHeadDotProductAttention_0")
        table |= norm_table("MAPHead_0/LayerNorm_0")
        table |= mlp_table("MAPHead_0/MlpBlock_0")
    table |= dense_table("pre_logits", 384, 384)
    return table | dense_table("head", 384, 1000)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 22_122_472),
        ({"glu": True}, 50_452_456),
        ({"post_ln": True}, 22_121_704),
        ({"map_head": True}, 23_896_552),
    ],
)
def test_the_tree_is_the_known_one(fields, count):
    model, images = ViT(**fields), jnp.zeros((1, 224, 224, 3))
    shapes = jax.eval_shape(lambda: model.init(KEY, images))
    assert set(shapes) == {"params"}
    ours = plain.shape_table(shapes["params"])
    assert ours == vit_table(**fields)
    assert sum(math.prod(shape) for shape in ours.values()) == count


def test_parameter_types_follow_the_layers():
    types = plain.image_workload(ViT(map_head=True), feed_vit).model_params_types
    counts = collections.Counter(jax.tree.leaves(types))
    assert counts == {
        P.CONV_WEIGHT: 1,
        P.ATTENTION_Q: 13,
        P.ATTENTION_K: 13,
        P.ATTENTION_V: 13,
        P.ATTENTION_OUT: 13,
        P.ATTENTION_BIAS: 4 * 13,
        P.LAYER_NORM_SCALE: 2 * 12 + 2,
        P.LAYER_NORM_BIAS: 2 * 12 + 2,
        P.WEIGHT: 2 * 13 + 2 + 1,  # MLPs, pre_logits and head, the probe
        P.BIAS: 2 * 13 + 2 + 1,  # the same, and the patches' convolution
    }
    assert types["conv_patch_extract"] == {"kernel": P.CONV_WEIGHT, "bias": P.BIAS}
    assert types["MAPHead_0"]["probe"] == P.WEIGHT
    assert types["head"] == {"kernel": P.WEIGHT, "bias": P.BIAS}


@pytest.fixture(scope="module")
def started():
    """A workload with one block and its first params."""
    model = ViT(64, 1, 96, 2, 8, num_classes=1000, glu=True, map_head=True)
    workload = plain.image_workload(model, feed_vit, size=16)
    params, state = workload.init_model_fn(KEY)
    assert state is None
    return workload, params


def test_initial_values_are_the_documented_ones(started):
    _, params = started
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *owners, name = (key.key for key in path)
        where, values = "/".join(owners), np.asarray(leaf)
        if "MlpBlock" in where and name == "bias":
            np.testing.assert_allclose(values.std(), 1e-6, rtol=0.3)
        elif name in ("scale", "bias"):
            np.testing.assert_array_equal(values, 1.0 if name == "scale" else 0.0)
        elif where == "head":
            np.testing.assert_array_equal(values, 0.0)
        elif where in ("conv_patch_extract", "pre_logits"):
            # LeCun normal, cut off at two deviations.
            std = 1 / math.sqrt(math.prod(values.shape[:-1]))
            np.testing.assert_allclose(values.std(), std, rtol=0.05)
            assert np.abs(values).max() <= 2 * std / 0.8796 * 1.001
        else:
            check_xavier_uniform(values, where)


def check_xavier_uniform(values: np.ndarray, where: str) -> None:
    """Uniform between the bounds +-sqrt(6 / (fan-in + fan-out))."""
    fans = {"Dense_0": (64, 96), "Dense_1": (96, 96), "Dense_2": (96, 64)}
    if where == "MAPHead_0":
        fan_in, fan_out = 1, 64  # the probe, [1, 1, width]
    elif "MAPHead" in where and where.endswith("Dense_1"):
        fan_in, fan_out = 96, 64  # this MLP has no gate
    else:
        fan_in, fan_out = fans.get(where.split("/")[-1], (64, 64))
    bound = math.sqrt(6 / (fan_in + fan_out))
    largest = np.abs(values).max()
    assert (0.9 if values.size < 100 else 0.99) * bound < largest <= bound
    np.testing.assert_allclose(values.std(), bound / math.sqrt(3), rtol=0.15)


def test_an_untrained_model_has_the_loss_ln_of_the_classes(started):
    workload, params = started
    batch = {
        "inputs": np.ones((3, 16, 16, 3), np.float32),
        "targets": np.array([3, 0, 999]),
    }
    forward = jax.jit(
        lambda params: workload.model_fn(
            params, batch, None, ForwardPassMode.EVAL, KEY, False
        )
    )
    logits, state = forward(params)
    assert state is None
    np.testing.assert_array_equal(logits, np.zeros((3, 1000)))
    loss = workload.loss_fn(batch["targets"], logits)
    np.testing.assert_allclose(loss["per_example"], math.log(1000), rtol=1e-6)
