"""The parts of the Transformer (Vaswani et al. 2017): attention, MLP, positions."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from algoperf.dynamics import MAX_ATTENTION_LOGIT
from algoperf.facts import chosen
from algoperf.layers import Dropout

_LONGEST_WAVE = 10_000.0
_BIAS_STD = 1e-6
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "tanh": jnp.tanh,
}
KeysValues = tuple[jax.Array, jax.Array]  # each [..., head, position, head size]


class Attention(nn.Module):
    """Multi-head dot-product attention without biases (section 3.2.2).

    What is asked with is multiplied by `temperature` before its projection. Attention
    weights are never dropped.
    """

    width: int
    num_heads: int
    temperature: float = 1.0

    is_attention = True  # for the parameters' types

    def setup(self) -> None:
        heads = (self.num_heads, self.width // self.num_heads)
        dense = functools.partial(
            nn.DenseGeneral,
            use_bias=False,
            kernel_init=nn.initializers.xavier_uniform(),
        )
        self.query, self.key, self.value = dense(heads), dense(heads), dense(heads)
        self.out = dense(self.width, axis=(-2, -1))

    def keys_values(self, x: jax.Array) -> KeysValues:
        """What is looked at: [..., position, width] to keys and values."""
        return _by_head(self.key(x)), _by_head(self.value(x))

    def __call__(
        self, x: jax.Array, keys_values: KeysValues, mask: jax.Array | None
    ) -> jax.Array:
        """What `x` [..., query, width] sees; the same shape.

        `mask` [..., 1, query, position] is true where a query may look.
        """
        keys, values = keys_values
        queries = _by_head(self.query(self.temperature * x))
        queries = queries / jnp.sqrt(queries.shape[-1]).astype(queries.dtype)
        scores = jnp.einsum("...qd,...kd->...qk", queries, keys)
        if self.is_mutable_collection("intermediates"):
            allowed = True if mask is None else mask
            largest = jnp.max(scores, initial=-jnp.inf, where=allowed)
            self.sow("intermediates", MAX_ATTENTION_LOGIT, largest)
        if mask is not None:
            # The lowest number, not minus infinity: a row of padding sees nothing.
            scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
        seen = jnp.einsum("...qk,...kd->...qd", nn.softmax(scores), values)
        return self.out(_by_head(seen))


def _by_head(x: jax.Array) -> jax.Array:
    """Exchanges the axes of positions and heads: matrix products want heads first."""
    return jnp.swapaxes(x, -3, -2)


class MlpBlock(nn.Module):
    """Dense, activation, dropout, Dense back to the width, dropout.

    With `glu` the activated units are multiplied by a second Dense of the block's
    input (Shazeer 2020).
    """

    mlp_dim: int
    activation: str = "relu"
    glu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        """[..., width] to the same shape.

        Raises:
          UserError: there is no such activation.
        """
        activate = chosen("The wmt model", "activation", self.activation, ACTIVATIONS)
        dense = functools.partial(
            nn.Dense,
            kernel_init=nn.initializers.xavier_uniform(),
            bias_init=nn.initializers.normal(_BIAS_STD),
        )
        y = activate(dense(self.mlp_dim)(x))
        if self.glu:
            y = y * dense(self.mlp_dim)(x)
        y = Dropout()(y, rate=dropout_rate, deterministic=not train)
        y = dense(x.shape[-1])(y)
        return Dropout()(y, rate=dropout_rate, deterministic=not train)


def position_embedding(length: int, width: int) -> np.ndarray:
    """Fixed embedding [length, width] of positions 0, 1, ... (section 3.5).

    Sines in the first half, cosines in the second, at frequencies that fall
    geometrically from 1 to 1/10000.
    """
    half = width // 2
    exponents = np.arange(half) / (half - 1)
    angles = np.arange(length)[:, None] * _LONGEST_WAVE**-exponents
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return waves.astype(np.float32)


def shifted_right(
    targets: jax.Array, segmentation: jax.Array | None = None
) -> jax.Array:
    """Tokens [batch, position] moved by one: what the decoder has read before each.

    The first is 0, and with `segmentation` also that of every sentence in a row.
    """
    shifted = jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    if segmentation is None:
        return shifted
    before = jnp.pad(segmentation, ((0, 0), (1, 0)))[:, :-1]
    return jnp.where(segmentation == before, shifted, 0)


def visible(
    queries: jax.Array,
    keys: jax.Array,
    query_segmentation: jax.Array | None = None,
    key_segmentation: jax.Array | None = None,
    causal: bool = False,
) -> jax.Array:
    """Attention mask [batch, 1, query, key]: who may look where.

    Nothing that is padding (token 0) looks or is looked at; sentences that share a row
    see themselves only; with `causal` no position sees later ones.
    """
    mask = (queries > 0)[:, :, None] & (keys > 0)[:, None, :]
    if query_segmentation is not None and key_segmentation is not None:
        mask &= query_segmentation[:, :, None] == key_segmentation[:, None, :]
    if causal:
        mask &= np.tril(np.ones((1, queries.shape[1], keys.shape[1]), bool))
    return mask[:, None]
