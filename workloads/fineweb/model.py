"""Decoder-only Transformer language model in AlgoPerf's form.

Pre-norm blocks with RMSNorm (Zhang & Sennrich 2019), rotary positions (Su et al.
2021), normalised queries and keys with a learned scale (Henry et al. 2020), gated MLPs
(Dauphin et al. 2017), no biases, and an output that shares the embedding (Press & Wolf
2017).
"""

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from algoperf.dynamics import MAX_ATTENTION_LOGIT
from algoperf.facts import UserError, chosen
from algoperf.spec import Batch, ParameterType
from algoperf.workload import ForwardOptions
from workloads.fineweb.facts import CONTEXT_LENGTH

NORM_EPSILON = 1e-6
_INIT_STD = 0.02
_COMPUTE_DTYPES = {"bfloat16": jnp.bfloat16, "float32": jnp.float32}
# What cuDNN's fused attention takes, from which generation of GPUs (Ampere) on.
_CUDNN_LARGEST_HEAD, _CUDNN_HEAD_MULTIPLE = 128, 8
_CUDNN_CAPABILITY = (8, 0)


class BlockNorm(nn.RMSNorm):
    """RMSNorm inside a block.

    AlgoPerf types its scale as a weight (its rule finds `ln` and `layernorm` alone),
    and only the scale of the last norm, `out_ln`, as that of a normalisation.
    """

    parameter_types: ClassVar[Mapping[str, ParameterType]] = {}


class CausalAttention(nn.Module):
    """Attention to a token itself and those before it.

    Queries and keys are rotated by their positions and then divided by their lengths,
    so a logit is at most `attn_scale`, one learned number, in size. AlgoPerf types all
    of its parameters as weights.
    """

    num_heads: int
    rope_theta: float
    scale_init: float
    out_std: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, token, width] to the same shape."""
        width = x.shape[-1]
        head = (self.num_heads, width // self.num_heads)

        def project(name: str) -> jax.Array:
            y = _dense(width, _INIT_STD, self.dtype, name)(x)
            return y.reshape(*x.shape[:-1], *head)

        query, key, value = project("query"), project("key"), project("value")
        scale = self.param("attn_scale", nn.initializers.constant(self.scale_init), ())
        # In float32 up to here, whatever the model computes in.
        query = scale * unit_length(rotate(query, self.rope_theta))
        key = unit_length(rotate(key, self.rope_theta))
        query, key = query.astype(self.dtype), key.astype(self.dtype)
        if self.is_mutable_collection("intermediates"):
            largest = max_causal_logit(query, key)
            self.sow("intermediates", MAX_ATTENTION_LOGIT, largest)
        mixed = jax.nn.dot_product_attention(
            query,
            key,
            value,
            scale=1.0,
            is_causal=True,
            implementation=_implementation(self.dtype, head[1]),
        )
        return _dense(width, self.out_std, self.dtype, "out")(mixed.reshape(x.shape))


class GatedMlp(nn.Module):
    """Dense to twice `mlp_dim`, one half gated by the sigmoid of the other, Dense."""

    mlp_dim: int
    out_std: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, token, width] to the same shape."""
        y = _dense(2 * self.mlp_dim, _INIT_STD, self.dtype, "Dense_0")(x)
        return _dense(x.shape[-1], self.out_std, self.dtype, "Dense_1")(nn.glu(y))


class Block(nn.Module):
    """Attention and an MLP, each of the normalised input and added to it."""

    num_heads: int
    mlp_dim: int
    rope_theta: float
    scale_init: float
    out_std: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, token, width] to the same shape."""
        norm = functools.partial(BlockNorm, NORM_EPSILON, dtype=self.dtype)
        attend = CausalAttention(
            self.num_heads,
            self.rope_theta,
            self.scale_init,
            self.out_std,
            self.dtype,
            name="CausalAttn_0",
        )
        x = x + attend(norm(name="RMSNorm_0")(x))
        mlp = GatedMlp(self.mlp_dim, self.out_std, self.dtype, name="Mlp_0")
        return x + mlp(norm(name="RMSNorm_1")(x))


class LanguageModel(nn.Module):
    """The model of finewebedu_lm as it stands; 252,815,372 parameters.

    Parameters are float32. `compute_dtype` (bfloat16 or float32) is what matrices are
    multiplied in and the logits are in; positions, norms and the softmax of attention
    are computed in float32.
    """

    vocab_size: int = 50_257
    width: int = 1_024
    depth: int = 12
    num_heads: int = 8
    mlp_dim: int = 4_096
    context_length: int = CONTEXT_LENGTH
    rope_theta: float = 500_000.0
    compute_dtype: str = "bfloat16"

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Logits [batch, token, vocabulary] of the next token, of ids [batch, token].

        Any number of tokens will do: `context_length` only sets the scale that
        attention starts from.

        Raises:
          UserError: fields that make no model.
        """
        self._check()
        dtype = chosen(
            "the language model", "compute_dtype", self.compute_dtype, _COMPUTE_DTYPES
        )
        embed = nn.Embed(
            self.vocab_size,
            self.width,
            dtype=dtype,
            embedding_init=nn.initializers.normal(_INIT_STD),
            name="embed",
        )
        x = embed(tokens)
        for i in range(self.depth):
            x = Block(
                self.num_heads,
                self.mlp_dim,
                self.rope_theta,
                initial_attention_scale(self.context_length),
                # Two branches a block add up in the residual stream.
                _INIT_STD / math.sqrt(2 * self.depth),
                dtype,
                name=f"blocks_{i}",
            )(x)
        x = nn.RMSNorm(NORM_EPSILON, dtype=dtype, name="out_ln")(x)
        return embed.attend(x)

    def _check(self) -> None:
        heads, rest = divmod(self.width, 2 * self.num_heads)
        if rest or not heads:
            raise UserError(
                f"the language model has width {self.width} and {self.num_heads} "
                "heads; the width must be a multiple of twice the heads, as positions "
                "rotate pairs of numbers. Change them in the workload's facts."
            )
        if self.context_length < 2:
            raise UserError(
                f"the language model has context_length {self.context_length}; it "
                "must be 2 at least. Change it in the workload's facts."
            )


def feed_tokens(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """The ids alone: the model has neither dropout nor statistics."""
    del options
    return apply(batch["inputs"])


def initial_attention_scale(context_length: int) -> float:
    """log2(L^2 - L) as bfloat16 has it (20 for 1,024 tokens), as in the reference."""
    return float(
        np.asarray(math.log2(context_length**2 - context_length), jnp.bfloat16)
    )


def rotate(x: jax.Array, theta: float) -> jax.Array:
    """Turns pairs of neighbouring numbers by position x theta^(-2i / d), in float32.

    Su et al. (2021), equation 34.

    Args:
      x: [batch, token, head, d] with an even d.

    Returns:
      float32 of the same shape.
    """
    length, width = x.shape[1], x.shape[-1]
    frequencies = theta ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * frequencies
    cos, sin = (
        jnp.asarray(wave(angles), jnp.float32)[None, :, None]
        for wave in (np.cos, np.sin)
    )
    pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], width // 2, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    turned = jnp.stack((even * cos - odd * sin, odd * cos + even * sin), axis=-1)
    return turned.reshape(x.shape)


def unit_length(x: jax.Array) -> jax.Array:
    """x / (|x| + 1e-6) over the last axis; zeros stay zeros, with finite gradients."""
    squared = jnp.sum(x * x, axis=-1, keepdims=True)
    # The root has no finite gradient at 0.
    length = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)
    return x / (length + NORM_EPSILON)


def max_causal_logit(query: jax.Array, key: jax.Array) -> jax.Array:
    """The largest logit that attention takes a softmax of, float32 scalar.

    Args:
      query, key: [batch, token, head, width].
    """
    logits = jnp.einsum(
        "bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32
    )
    length = logits.shape[-1]
    seen = np.tril(np.ones((1, 1, length, length), bool))
    return jnp.max(logits, where=seen, initial=-jnp.inf)


def _implementation(dtype: Any, head: int) -> Any:
    """cuDNN's fused attention where it can be had: it stores no logits."""
    fits = head <= _CUDNN_LARGEST_HEAD and head % _CUDNN_HEAD_MULTIPLE == 0
    # "9.0" of an NVIDIA GPU; others have none, or one of another form.
    capability = getattr(jax.devices()[0], "compute_capability", "")
    numbers = re.fullmatch(r"(\d+)\.(\d+)", str(capability))
    new = numbers and tuple(map(int, numbers.groups())) >= _CUDNN_CAPABILITY
    return "cudnn" if new and fits and dtype == jnp.bfloat16 else "xla"


def _dense(features: int, std: float, dtype: Any, name: str) -> nn.Dense:
    return nn.Dense(
        features,
        use_bias=False,
        dtype=dtype,
        kernel_init=nn.initializers.normal(std),
        name=name,
    )
