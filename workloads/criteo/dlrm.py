"""DLRM (Naumov et al. 2019): the probability of a click from counts and categories.

The full embedding table is 2.15 GB in float32. A submission gets its gradient dense,
so that with two moments of every parameter training holds 8.6 GB before activations.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from algoperf.facts import UserError
from algoperf.layers import Dropout
from algoperf.spec import Batch, ParameterType
from algoperf.workload import ForwardOptions

NUM_COUNTS = 13
NUM_CATEGORIES = 26


class _ClickModel(nn.Module):
    """What both models share: the inputs, the embedding table and the layers.

    All categories share one table, where a category's row is its number modulo
    `vocab_size`. Its rows are uniform in [0, `embed_init_scale`); None is
    1 / sqrt(`vocab_size`).
    """

    vocab_size: int = 32 * 128 * 1024
    embed_dim: int = 128
    bottom_dims: tuple[int, ...] = ()
    top_dims: tuple[int, ...] = ()
    embed_init_scale: float | None = None

    parameter_types = {  # noqa: RUF012 - a Flax field would need an annotation
        "embedding_table": ParameterType.EMBEDDING
    }

    def _split(self, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Counts [batch, 13] and embedded categories [batch, 26, `embed_dim`]."""
        if inputs.shape[-1] != NUM_COUNTS + NUM_CATEGORIES:
            raise UserError(
                f"{type(self).__name__} got {inputs.shape[-1]} features; it needs "
                f"{NUM_COUNTS} counts and {NUM_CATEGORIES} categories. Check the data."
            )
        counts, categories = jnp.split(inputs, [NUM_COUNTS], axis=1)
        scale = self.embed_init_scale
        if scale is None:
            scale = 1 / math.sqrt(self.vocab_size)
        table = self.param(
            "embedding_table",
            nn.initializers.uniform(scale),
            (self.vocab_size, self.embed_dim),
        )
        rows = categories.astype(jnp.int32) % self.vocab_size
        return counts, jnp.asarray(table).at[rows].get(mode="promise_in_bounds")


class DLRM(_ClickModel):
    """DLRM-small as it stands; 539,267,457 parameters.

    An MLP of the counts, inner products of its output and the embeddings with one
    another, an MLP of these. With `layer_norm` every ReLU is followed by a layer
    normalisation, and so are the embeddings.
    """

    bottom_dims: tuple[int, ...] = (512, 256, 128)
    top_dims: tuple[int, ...] = (1024, 1024, 512, 256, 1)
    layer_norm: bool = False

    @nn.compact
    def __call__(
        self, inputs: jax.Array, train: bool = False, dropout_rate: Any = 0.0
    ) -> jax.Array:
        """Logits [batch, 1] of [batch, 39]: 13 counts, then 26 category numbers.

        Dropout is before the last layer. `dropout_rate` may be traced, and only
        counts with `train`.

        Raises:
          UserError: there are not 39 features, or the sizes of the layers do not fit.
        """
        if self.bottom_dims[-1] != self.embed_dim:
            raise UserError(
                f"DLRM's bottom_dims end with {self.bottom_dims[-1]}; they must end "
                f"with embed_dim, {self.embed_dim}, for inner products with the "
                "embeddings. Change them in the workload's facts."
            )
        x, embedded = self._split(inputs)
        for width in self.bottom_dims:
            x = self._norm(nn.relu(_bottom_dense(width)(x)))
        embedded = self._norm(embedded)
        x = jnp.concatenate([x, _interactions(x, embedded)], axis=1)
        *hidden, outputs = self.top_dims
        for width in hidden:
            x = self._norm(nn.relu(_top_dense(width, x)(x)))
        x = Dropout()(x, rate=dropout_rate, deterministic=not train)
        return _top_dense(outputs, x)(x)

    def _norm(self, x: jax.Array) -> jax.Array:
        return nn.LayerNorm()(x) if self.layer_norm else x


class ResNetDLRM(_ClickModel):
    """Layers that add to their input, and no inner products; 538,121,473 parameters."""

    bottom_dims: tuple[int, ...] = (256, 256, 256)
    top_dims: tuple[int, ...] = (256, 256, 256, 256, 1)

    @nn.compact
    def __call__(
        self, inputs: jax.Array, train: bool = False, dropout_rate: Any = 0.0
    ) -> jax.Array:
        """As of `DLRM`; dropout is on the last branch that is added.

        Raises:
          UserError: there are not 39 features, or the sizes of the layers do not fit.
        """
        hidden = self.top_dims[:-1]
        _check_equal("bottom_dims", self.bottom_dims)
        _check_equal("top_dims, but for the last,", hidden)
        drop = functools.partial(Dropout(), rate=dropout_rate, deterministic=not train)
        x, embedded = self._split(inputs)
        for i, width in enumerate(self.bottom_dims):
            y = nn.relu(_bottom_dense(width)(x))
            x = x + y if i else y
        x = jnp.concatenate([x, embedded.reshape(len(x), -1)], axis=1)
        for i, width in enumerate(hidden):
            y = nn.relu(_top_dense(width, x)(x))
            y = drop(y) if i == len(hidden) - 1 else y
            x = x + y if i else y
        return _top_dense(self.top_dims[-1], x)(x)


def feed_dlrm(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Features [batch, 39], and dropout as the options say."""
    return apply(
        batch["inputs"], train=options.train, dropout_rate=options.dropout_rate
    )


def _interactions(x: jax.Array, embedded: jax.Array) -> jax.Array:
    """Inner products of all pairs of vectors, each with itself too: [batch, 378].

    The order is (0, 0), (0, 1), ..., (1, 1), (1, 2), ..., vector 0 being `x`.
    """
    vectors = jnp.concatenate([x[:, None], embedded], axis=1)
    batch, count, _ = vectors.shape
    products = jnp.einsum("bid,bjd->bij", vectors, vectors)
    rows, columns = np.triu_indices(count)
    # One index, sorted and unique: its gradient is then a copy.
    pairs = rows * count + columns
    return (
        products.reshape(batch, -1)
        .at[:, pairs]
        .get(indices_are_sorted=True, unique_indices=True, mode="promise_in_bounds")
    )


def _bottom_dense(width: int) -> nn.Dense:
    return nn.Dense(
        width,
        kernel_init=nn.initializers.glorot_uniform(),
        bias_init=nn.initializers.normal(math.sqrt(1 / width)),
    )


def _top_dense(width: int, x: jax.Array) -> nn.Dense:
    return nn.Dense(
        width,
        kernel_init=nn.initializers.normal(math.sqrt(2 / (x.shape[-1] + width))),
        bias_init=nn.initializers.normal(math.sqrt(1 / width)),
    )


def _check_equal(what: str, widths: Sequence[int]) -> None:
    if any(a != b for a, b in itertools.pairwise(widths)):
        raise UserError(
            f"ResNetDLRM's {what} are {tuple(widths)}; they must all be equal, for a "
            "layer to add to its input. Change them in the workload's facts."
        )
