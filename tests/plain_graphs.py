"""Graph network and DLRM in plain NumPy, in float64, and a workload without data."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from fakes import made_up_facts
from flax import linen as nn
from plain_vision import dense, layer_norm, relu

from algoperf.data import ArraySource
from algoperf.workload import Workload


def dataless(model, forward, example_batch, loss, metrics) -> Workload:
    """The workload of a model, without data: its facts count for nothing."""
    return Workload(
        facts=made_up_facts(metric="loss", goal="min", loss="sigmoid_cross_entropy"),
        model=model,
        example_batch=example_batch,
        forward=forward,
        loss=loss,
        metrics=metrics,
        data=ArraySource(dict, 8, lambda raw: raw),
    )


def echo(loss, metrics) -> Workload:
    """The workload of a model that gives back its inputs."""

    class Echo:
        def apply(self, variables, inputs, **options):
            del variables, options
            return inputs, {}

    def feed(apply, batch, options):
        del options
        return apply(batch["inputs"])

    return dataless(Echo(), feed, {}, loss, metrics)


def layer_norm_epsilons(model: nn.Module, inputs: Any) -> set[float]:
    """What the layer normalisations of a model add to the variance.

    At ordinary variances the outputs would not show another epsilon.
    """
    epsilons = set()

    def note(next_call, args, kwargs, context):
        if isinstance(context.module, nn.LayerNorm):
            epsilons.add(context.module.epsilon)
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: model.init(jax.random.PRNGKey(0), inputs))
    return epsilons


def plain_mlp(
    params: Mapping, first: int, layers: int, x: np.ndarray, activation=relu
) -> np.ndarray:
    """Dense, layer normalisation and activation, from `Dense_<first>` on."""
    for i in range(first, first + layers):
        x = dense(params[f"Dense_{i}"], x)
        x = activation(layer_norm(params[f"LayerNorm_{i}"], x))
    return x


def plain_graph_logits(
    params: Mapping,
    graph: Mapping[str, Any],
    *,
    rounds: int,
    layers: int = 1,
    activation=relu,
) -> np.ndarray:
    """Logits [output] of one graph on its own, edge by edge and node by node.

    Args:
      graph: `nodes` [node, any], `edges` [edge, any] and `ends`, (sender, receiver)
        of every edge.
    """
    nodes = dense(params["node_embedding"], graph["nodes"].astype(np.float64))
    edges = dense(params["edge_embedding"], graph["edges"].astype(np.float64))
    ends = graph["ends"]
    last = params[f"Dense_{3 * rounds * layers}"]
    whole = np.zeros(last["kernel"].shape[1])
    for i in range(rounds):
        first = 3 * i * layers

        def update(part, *vectors, first=first):
            x = np.concatenate(vectors)
            return plain_mlp(params, first + part * layers, layers, x, activation)

        edges = [
            update(0, edge, nodes[sender], nodes[receiver], whole)
            for edge, (sender, receiver) in zip(edges, ends, strict=True)
        ]
        width = len(params[f"Dense_{layers - 1}"]["bias"])
        sent = np.zeros((len(nodes), width))
        received = np.zeros((len(nodes), width))
        for edge, (sender, receiver) in zip(edges, ends, strict=True):
            sent[sender] += edge
            received[receiver] += edge
        nodes = np.array(
            [
                update(1, node, sent[j], received[j], whole)
                for j, node in enumerate(nodes)
            ]
        )
        edge_sum = np.sum(edges, axis=0) if len(edges) else np.zeros(width)
        whole = update(2, nodes.sum(axis=0), edge_sum, whole)
    return dense(last, whole)


def pack_graphs(graphs: list, shards: int, nodes: int, edges: int, per_shard: int):
    """(arrays of `Graphs`' fields, rows of the logits that are real graphs).

    Graphs are dealt out in turn; what room is left belongs to a last, padding graph.
    """
    fields = {
        "nodes": np.zeros((shards, nodes, graphs[0]["nodes"].shape[1]), np.float32),
        "edges": np.zeros((shards, edges, graphs[0]["edges"].shape[1]), np.float32),
        "senders": np.full((shards, edges), nodes - 1, np.int32),
        "receivers": np.full((shards, edges), nodes - 1, np.int32),
        "n_node": np.zeros((shards, per_shard), np.int32),
        "n_edge": np.zeros((shards, per_shard), np.int32),
    }
    rows = []
    for i, graph in enumerate(graphs):
        shard, slot = i % shards, i // shards
        node, edge = (fields[name][shard].sum() for name in ("n_node", "n_edge"))
        n, e = len(graph["nodes"]), len(graph["ends"])
        fields["nodes"][shard, node : node + n] = graph["nodes"]
        fields["edges"][shard, edge : edge + e] = graph["edges"]
        ends = np.array(graph["ends"], np.int32).reshape(-1, 2) + node
        fields["senders"][shard, edge : edge + e] = ends[:, 0]
        fields["receivers"][shard, edge : edge + e] = ends[:, 1]
        fields["n_node"][shard, slot], fields["n_edge"][shard, slot] = n, e
        rows.append(shard * per_shard + slot)
    fields["n_node"][:, -1] = nodes - fields["n_node"].sum(axis=1)
    fields["n_edge"][:, -1] = edges - fields["n_edge"].sum(axis=1)
    return fields, np.array(rows)


def plain_dlrm(
    params: Mapping, features: np.ndarray, *, resnet: bool = False
) -> np.ndarray:
    """Logits [batch, 1], one example after the other."""
    table = params["embedding_table"].astype(np.float64)
    logits = []
    for row in features:
        x = row[:13].astype(np.float64)[None]
        vectors = np.array([table[int(number) % len(table)] for number in row[13:]])
        one = _plain_resnet_dlrm if resnet else _plain_dlrm
        logits.append(one(params, x, vectors)[0])
    return np.array(logits)


def _plain_dlrm(params: Mapping, x: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    def norm(index: int, x: np.ndarray) -> np.ndarray:
        name = f"LayerNorm_{index}"
        return layer_norm(params[name], x) if name in params else x

    for i in range(3):
        x = norm(i, relu(dense(params[f"Dense_{i}"], x)))
    every = [x[0], *norm(3, vectors)]
    products = [a @ b for i, a in enumerate(every) for b in every[i:]]
    x = np.concatenate([x[0], products])[None]
    for i in range(3, 7):
        x = norm(i + 1, relu(dense(params[f"Dense_{i}"], x)))
    return dense(params["Dense_7"], x)


def _plain_resnet_dlrm(
    params: Mapping, x: np.ndarray, vectors: np.ndarray
) -> np.ndarray:
    x = relu(dense(params["Dense_0"], x))
    for i in (1, 2):
        x = x + relu(dense(params[f"Dense_{i}"], x))
    x = np.concatenate([x[0], vectors.ravel()])[None]
    x = relu(dense(params["Dense_3"], x))
    for i in (4, 5, 6):
        x = x + relu(dense(params[f"Dense_{i}"], x))
    return dense(params["Dense_7"], x)
