"""Residual networks (He et al. 2016) for ImageNet and CIFAR images."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.facts import chosen
from algoperf.spec import Batch
from algoperf.workload import ForwardOptions

_MOMENTUM, _EPSILON = 0.9, 1e-5
_OUTPUT_STD = 0.01

_Conv = functools.partial(nn.Conv, use_bias=False)
# Statistics are over the global batch: its examples are sharded under one `jit`.
_BatchNorm = functools.partial(nn.BatchNorm, momentum=_MOMENTUM, epsilon=_EPSILON)


class _ResidualBlock(nn.Module):
    """Convolutions whose output is added to their input.

    `last_bn_scale` is the initial scale of the last batch normalisation: with 0 the
    block starts as the identity (Goyal et al. 2017, section 5.1).
    """

    filters: int
    stride: int
    activation: str
    last_bn_scale: float

    def layers(self) -> tuple[tuple[int, int, int], ...]:
        """(channels, kernel size, stride) of each convolution."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: jax.Array, use_running_average: bool) -> jax.Array:
        """[batch, height, width, channel] at 1 / `stride` of the size."""
        activation = chosen("ResNet", "activation", self.activation, _ACTIVATIONS)
        norm = functools.partial(_BatchNorm, use_running_average)
        y = x
        *inner, (features, size, stride) = self.layers()
        for channels, kernel, step in inner:
            y = _Conv(channels, (kernel, kernel), (step, step))(y)
            y = activation(norm()(y))
        y = _Conv(features, (size, size), (stride, stride))(y)
        y = norm(scale_init=nn.initializers.constant(self.last_bn_scale))(y)
        # By the stride and not by the size, which stays 1 when an image is tiny.
        if x.shape[-1] != features or self.stride != 1:
            strides = (self.stride, self.stride)
            x = _Conv(features, (1, 1), strides, name="Conv_proj")(x)
            x = norm(name="BatchNorm_proj")(x)
        return activation(x + y)


class BottleneckResNetBlock(_ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions; the 3x3 one has the stride ("version 1.5")."""

    def layers(self) -> tuple[tuple[int, int, int], ...]:
        return (
            (self.filters, 1, 1),
            (self.filters, 3, self.stride),
            (4 * self.filters, 1, 1),
        )


class ResNetBlock(_ResidualBlock):
    """Two 3x3 convolutions; the first one has the stride."""

    def layers(self) -> tuple[tuple[int, int, int], ...]:
        return ((self.filters, 3, self.stride), (self.filters, 3, 1))


class ResNet(nn.Module):
    """ResNet-50 as it stands; 25,557,032 parameters.

    `stage_sizes` counts the blocks of each stage; the channels double and the size
    halves from one stage to the next. `stem` is "imagenet" (7x7 convolution and 3x3
    maximum, stride 2 each) or "cifar" (3x3 convolution, stride 1), `block` is
    "bottleneck" or "basic", `activation` is "relu", "silu" or "gelu" (its tanh
    approximation).
    """

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    num_filters: int = 64
    num_classes: int = 1000
    block: str = "bottleneck"
    stem: str = "imagenet"
    activation: str = "relu"
    last_bn_scale: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array, use_running_average: bool) -> jax.Array:
        """Logits [batch, class] of images [batch, height, width, 3] of any size.

        Batch normalisation uses its running averages, or the batch: then it moves
        them too (collection `batch_stats`: `mean` and the biased `var`).

        Raises:
          UserError: `block`, `stem` or `activation` is not one of those above.
        """
        block = chosen("ResNet", "block", self.block, _BLOCKS)
        stem = chosen("ResNet", "stem", self.stem, _STEMS)
        activation = chosen("ResNet", "activation", self.activation, _ACTIVATIONS)
        x = _Conv(self.num_filters, name="Conv_init", **stem["conv"])(images)
        x = _BatchNorm(use_running_average, name="BatchNorm_init")(x)
        x = activation(x)
        if stem["pool"]:
            x = nn.max_pool(x, **stem["pool"])
        for stage, blocks in enumerate(self.stage_sizes):
            for i in range(blocks):
                x = block(
                    filters=self.num_filters * 2**stage,
                    stride=2 if stage > 0 and i == 0 else 1,
                    activation=self.activation,
                    last_bn_scale=self.last_bn_scale,
                )(x, use_running_average)
        # At 32x32 pixels this is CIFAR's 4x4 average pooling, which smaller images
        # could not have.
        x = jnp.mean(x, axis=(1, 2))
        kernel_init = nn.initializers.normal(_OUTPUT_STD)
        return nn.Dense(self.num_classes, kernel_init=kernel_init)(x)


def feed_resnet(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Images, normalised by the statistics that the options name; no dropout."""
    return apply(batch["inputs"], use_running_average=options.use_running_average)


_BLOCKS: Mapping[str, type[_ResidualBlock]] = {
    "bottleneck": BottleneckResNetBlock,
    "basic": ResNetBlock,
}
_STEMS: Mapping[str, Mapping[str, Any]] = {
    "imagenet": {
        "conv": {
            "kernel_size": (7, 7),
            "strides": (2, 2),
            "padding": ((3, 3), (3, 3)),
        },
        "pool": {
            "window_shape": (3, 3),
            "strides": (2, 2),
            "padding": ((1, 1), (1, 1)),
        },
    },
    "cifar": {
        "conv": {"kernel_size": (3, 3), "padding": ((1, 1), (1, 1))},
        "pool": None,
    },
}
_ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "silu": nn.silu,
    "gelu": functools.partial(nn.gelu, approximate=True),
}
