"""ResNet and ViT in plain NumPy, in float64: what the Flax modules are held to.

Parameters are looked up under the names that AlgoPerf gives them.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from fakes import made_up_facts

from algoperf import losses
from algoperf.data import ArraySource
from algoperf.metrics import CLASSIFICATION
from algoperf.workload import Workload

CHANNEL_AXES = (0, 1, 2)  # what batch normalisation averages over


def image_workload(model, forward, size: int = 32) -> Workload:
    """The workload of a model of images, without data."""
    return Workload(
        facts=made_up_facts(),
        model=model,
        example_batch={
            "inputs": jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32),
            "targets": jax.ShapeDtypeStruct((1,), jnp.int32),
        },
        forward=forward,
        loss=losses.softmax_cross_entropy,
        metrics=CLASSIFICATION,
        data=ArraySource(dict, 8, lambda raw: raw),
    )


def random_like(shapes: Any, seed: int = 0, scale: float = 0.3) -> Any:
    """Normal numbers in the tree of `shapes`; variances (`var`) are above 0.5.

    Nothing is left at an initial value under which a mistake would not show.
    """
    random = np.random.default_rng(seed)

    def draw(path, leaf):
        values = scale * random.normal(size=leaf.shape)
        if path[-1].key == "var":
            values = 0.5 + np.abs(values)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def shape_table(shapes: Any) -> dict[str, tuple[int, ...]]:
    """`a/b/kernel` -> shape, of a tree of arrays or their shapes."""
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    return {"/".join(key.key for key in path): leaf.shape for path, leaf in leaves}


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-x))


def gelu(x: np.ndarray) -> np.ndarray:
    """The tanh approximation of Hendrycks & Gimpel (2016)."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def windows(x: np.ndarray, size: int, stride: int, pad: tuple, fill: float = 0.0):
    """[batch, row, column, channel, size, size] windows of a padded image."""
    x = np.pad(x, ((0, 0), *pad, (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return view[:, ::stride, ::stride]


def same(x: np.ndarray, size: int, stride: int) -> tuple:
    """ "SAME" padding: the smaller half of it comes first."""
    pads = []
    for length in x.shape[1:3]:
        needed = (math.ceil(length / stride) - 1) * stride + size - length
        pads.append((max(needed, 0) // 2, max(needed, 0) - max(needed, 0) // 2))
    return tuple(pads)


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int = 1, pad=None):
    """2-D convolution (cross-correlation) without bias; "SAME" unless padded."""
    size = kernel.shape[0]
    pad = same(x, size, stride) if pad is None else pad
    return np.einsum(
        "brcixy,xyio->brco", windows(x, size, stride, pad), kernel.astype(np.float64)
    )


class PlainResNet:
    """A forward pass; `state` gets the running statistics if the batch is used."""

    def __init__(self, params: Mapping, stats: Mapping | None, activation) -> None:
        self.params, self.stats, self.activation = params, stats, activation
        self.state: dict[str, Any] = {}

    def logits(self, images, stage_sizes, *, cifar: bool) -> np.ndarray:
        x, kernel = images.astype(np.float64), self.params["Conv_init"]["kernel"]
        if cifar:
            x = convolve(x, kernel, 1, ((1, 1), (1, 1)))
        else:
            x = convolve(x, kernel, 2, ((3, 3), (3, 3)))
        x = self.activation(self.norm(x, ("BatchNorm_init",)))
        if not cifar:
            x = windows(x, 3, 2, ((1, 1), (1, 1)), -np.inf).max(axis=(4, 5))
        block, index = ("ResNetBlock" if cifar else "BottleneckResNetBlock"), 0
        for stage, blocks in enumerate(stage_sizes):
            for i in range(blocks):
                stride = 2 if stage > 0 and i == 0 else 1
                x = self.block(x, f"{block}_{index}", stride)
                index += 1
        if cifar:
            x = windows(x, 4, 4, ((0, 0), (0, 0))).mean(axis=(4, 5))
        dense = self.params["Dense_0"]
        return x.mean(axis=(1, 2)) @ dense["kernel"] + dense["bias"]

    def block(self, x: np.ndarray, name: str, stride: int) -> np.ndarray:
        params = self.params[name]
        count = 3 if name.startswith("Bottleneck") else 2
        y = x
        for i in range(count):
            # The 3x3 convolution has the stride: in the middle, or the first of two.
            here = stride if i == count - 2 else 1
            y = convolve(y, params[f"Conv_{i}"]["kernel"], here)
            y = self.norm(y, (name, f"BatchNorm_{i}"))
            y = self.activation(y) if i < count - 1 else y
        if "Conv_proj" in params:
            x = convolve(x, params["Conv_proj"]["kernel"], stride)
            x = self.norm(x, (name, "BatchNorm_proj"))
        return self.activation(x + y)

    def norm(self, x: np.ndarray, path: tuple[str, ...]) -> np.ndarray:
        params = self.params
        for key in path:
            params = params[key]
        if self.stats is not None:
            running = self.stats
            for key in path:
                running = running[key]
            mean, var = running["mean"], running["var"]
        else:
            mean = x.mean(axis=CHANNEL_AXES)
            var = ((x - mean) ** 2).mean(axis=CHANNEL_AXES)
            self.state["/".join(path)] = (mean, var)
        return (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]


def dense(params: Mapping, x: np.ndarray) -> np.ndarray:
    return x @ params["kernel"].astype(np.float64) + params["bias"]


def layer_norm(params: Mapping, x: np.ndarray) -> np.ndarray:
    mean = x.mean(axis=-1, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * params["scale"] + params["bias"]


def attention(params: Mapping, queries: np.ndarray, tokens: np.ndarray):
    """Softmax(Q K^T / sqrt(d)) V, one head at a time."""
    _, heads, dim = params["query"]["kernel"].shape
    total = np.zeros(queries.shape)
    for head in range(heads):
        q, k, v = (
            x @ params[name]["kernel"][:, head].astype(np.float64)
            + params[name]["bias"][head]
            for name, x in (("query", queries), ("key", tokens), ("value", tokens))
        )
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(dim))
        weights = scores / scores.sum(axis=-1, keepdims=True)
        total += weights @ v @ params["out"]["kernel"][head].astype(np.float64)
    return total + params["out"]["bias"]


def mlp(params: Mapping, x: np.ndarray, glu: bool) -> np.ndarray:
    hidden = gelu(dense(params["Dense_0"], x))
    if glu:
        hidden = hidden * dense(params["Dense_1"], hidden)
    return dense(params["Dense_2" if glu else "Dense_1"], hidden)


def sine_cosine(rows: int, columns: int, width: int) -> np.ndarray:
    """[rows * columns, width]: sin x, cos x, sin y, cos y, number by number."""
    quarter = width // 4
    table = np.zeros((rows * columns, width))
    for row in range(rows):
        for column in range(columns):
            for k in range(quarter):
                omega = 1.0 / 10_000 ** (k / (quarter - 1))
                token = table[row * columns + column]
                token[k] = math.sin(column * omega)
                token[quarter + k] = math.cos(column * omega)
                token[2 * quarter + k] = math.sin(row * omega)
                token[3 * quarter + k] = math.cos(row * omega)
    return table


def vit_tokens(params: Mapping, images: np.ndarray) -> np.ndarray:
    """[batch, token, width]: patches, projected, with their positions."""
    projection = params["conv_patch_extract"]
    size, width = projection["kernel"].shape[0], projection["kernel"].shape[-1]
    rows, columns = images.shape[1] // size, images.shape[2] // size
    tokens = []
    for i in range(rows):
        for j in range(columns):
            patch = images[:, size * i : size * (i + 1), size * j : size * (j + 1)]
            flat = patch.reshape(len(images), -1).astype(np.float64)
            tokens.append(flat @ projection["kernel"].reshape(-1, width))
    x = np.stack(tokens, axis=1) + projection["bias"]
    return x + sine_cosine(rows, columns, width)


def vit_encode(params: Mapping, x: np.ndarray, *, glu: bool, post_ln: bool):
    """The encoder's output, [batch, token, width]."""
    encoder = params["Transformer"]
    depth = sum(name.startswith("encoderblock_") for name in encoder)
    for i in range(depth):
        block = encoder[f"encoderblock_{i}"]
        heads, first, second, feed_forward = (
            block["MultiHeadDotProductAttention_1"],
            block["LayerNorm_0"],
            block["LayerNorm_2"],
            block["MlpBlock_3"],
        )
        if post_ln:
            x = layer_norm(first, x + attention(heads, x, x))
            x = layer_norm(second, x + mlp(feed_forward, x, glu))
        else:
            y = layer_norm(first, x)
            x = x + attention(heads, y, y)
            x = x + mlp(feed_forward, layer_norm(second, x), glu)
    return x if post_ln else layer_norm(encoder["encoder_layernorm"], x)


def vit_classify(params: Mapping, x: np.ndarray, *, map_head: bool) -> np.ndarray:
    """Logits [batch, class] of the encoder's output."""
    if map_head:
        head = params["MAPHead_0"]
        probe = np.repeat(head["probe"], len(x), axis=0).astype(np.float64)
        x = attention(head["MultiHeadDotProductAttention_0"], probe, x)
        x = x + mlp(head["MlpBlock_0"], layer_norm(head["LayerNorm_0"], x), False)
        x = x[:, 0]
    else:
        x = x.mean(axis=1)
    return dense(params["head"], np.tanh(dense(params["pre_logits"], x)))
