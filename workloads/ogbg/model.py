"""A graph network (Battaglia et al. 2018) that predicts properties of molecules."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.facts import chosen
from algoperf.layers import Dropout
from algoperf.spec import Batch, ParameterType
from algoperf.workload import ForwardOptions


class Graphs(NamedTuple):
    """Graphs in shards of fixed capacity; no edge leaves its shard.

    Every array's first dimension counts shards, so that devices can share them. In a
    shard, graphs lie one after the other, and so do their nodes and their edges. What
    room is left belongs to further graphs, padding, which take part in nothing else.
    """

    nodes: Any  # features [shard, node, any]
    edges: Any  # features [shard, edge, any]
    senders: Any  # int [shard, edge], the node in its shard where the edge starts
    receivers: Any  # int [shard, edge], where it ends
    n_node: Any  # int [shard, graph], nodes of each graph, padding included
    n_edge: Any  # int [shard, graph]


class Part(NamedTuple):
    """Rows [shard, row, any]; with `index` [shard, item], one of them per item."""

    rows: jax.Array
    index: jax.Array | None = None


class Dense(nn.Module):
    """A dense layer of several inputs as if they were one, side by side.

    Every part is multiplied by its own rows of the kernel before the index picks from
    the products: a node's is computed once and not again at each of its edges, which
    halves the work of a message, and nothing is copied to lie side by side.
    """

    features: int

    @nn.compact
    def __call__(self, *parts: Part) -> jax.Array:
        """[shard, item, `features`] of parts with one row per item."""
        widths = [part.rows.shape[-1] for part in parts]
        lecun_normal = nn.initializers.lecun_normal()
        kernel = self.param("kernel", lecun_normal, (sum(widths), self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        total, start = bias[None, None], 0
        for part, width in zip(parts, widths, strict=True):
            product = part.rows @ jax.lax.slice_in_dim(kernel, start, start + width)
            total = total + _pick(product, part.index)
            start += width
        return total


class Embedding(nn.Dense):
    """A dense layer of the graphs' own features."""

    parameter_types = {  # noqa: RUF012 - a Flax field would need an annotation
        "kernel": ParameterType.EMBEDDING,
        "bias": ParameterType.BIAS,
    }


class GraphNetwork(nn.Module):
    """A vector of logits for each graph; 3,554,176 parameters as it stands.

    In every round edges, then nodes, then graphs ("globals") are updated from one
    another by an MLP with layers of `hidden_dims`. `activation` is "relu", "silu" or
    "gelu" (its tanh approximation).
    """

    hidden_dims: tuple[int, ...] = (256,)
    latent_dim: int = 256
    num_message_passing_steps: int = 5
    num_outputs: int = 128
    activation: str = "relu"

    @nn.compact
    def __call__(
        self, graphs: Graphs, train: bool = False, dropout_rate: Any = 0.0
    ) -> jax.Array:
        """Logits [shard * graph, output]; those of padding mean nothing.

        `dropout_rate` is for all updates, may be traced, and only counts with `train`.

        Raises:
          UserError: `activation` is not one of those above.
        """
        shards, num_graphs = graphs.n_node.shape
        num_nodes = graphs.nodes.shape[1]
        senders, receivers = graphs.senders, graphs.receivers
        node_graph = _owners(graphs.n_node, num_nodes)
        edge_graph = _owners(graphs.n_edge, graphs.edges.shape[1])
        nodes = Embedding(self.latent_dim, name="node_embedding")(graphs.nodes)
        edges = Embedding(self.latent_dim, name="edge_embedding")(graphs.edges)
        totals = jnp.zeros((shards, num_graphs, self.num_outputs), nodes.dtype)
        update = functools.partial(self._update, train, dropout_rate)
        for _ in range(self.num_message_passing_steps):
            edges = update(
                Part(edges),
                Part(nodes, senders),
                Part(nodes, receivers),
                Part(totals, edge_graph),
            )
            nodes = update(
                Part(nodes),
                Part(_sums(edges, senders, num_nodes)),
                Part(_sums(edges, receivers, num_nodes)),
                Part(totals, node_graph),
            )
            totals = update(
                Part(_sums(nodes, node_graph, num_graphs, in_order=True)),
                Part(_sums(edges, edge_graph, num_graphs, in_order=True)),
                Part(totals),
            )
        logits = Dense(self.num_outputs)(Part(totals))
        return logits.reshape(shards * num_graphs, self.num_outputs)

    def _update(self, train: bool, dropout_rate: Any, *parts: Part) -> jax.Array:
        activation = chosen("GraphNetwork", "activation", self.activation, _ACTIVATIONS)
        for width in self.hidden_dims:
            x = nn.LayerNorm()(Dense(width)(*parts))
            x = Dropout()(activation(x), rate=dropout_rate, deterministic=not train)
            parts = (Part(x),)
        return parts[0].rows


def feed_graphs(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Graphs, and dropout as the options say."""
    return apply(
        batch["inputs"], train=options.train, dropout_rate=options.dropout_rate
    )


_ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "silu": nn.silu,
    "gelu": functools.partial(nn.gelu, approximate=True),
}


def _owners(counts: jax.Array, total: int) -> jax.Array:
    """The graph of each of `total` nodes or edges, int [shard, `total`]."""
    graph = jnp.arange(counts.shape[1])
    repeat = functools.partial(jnp.repeat, graph, total_repeat_length=total)
    return jax.vmap(repeat)(counts)


# Over shards by `vmap`: devices that share the shards then need nothing of each other.


def _pick(rows: jax.Array, index: jax.Array | None) -> jax.Array:
    if index is None:
        return rows
    pick = jax.vmap(lambda rows, index: rows.at[index].get(mode="promise_in_bounds"))
    return pick(rows, index)


def _sums(
    rows: jax.Array, index: jax.Array, length: int, in_order: bool = False
) -> jax.Array:
    """Sums the rows of the same index: [shard, `length`, any]."""
    segment_sum = functools.partial(
        jax.ops.segment_sum,
        num_segments=length,
        indices_are_sorted=in_order,
        mode="promise_in_bounds",
    )
    return jax.vmap(segment_sum)(rows, index)
