"""ogbg: its train step and forward pass, its metric, and how fast batches are packed.

The model by hand is a transcription of jraph's `GraphNetwork` into Linen: one graph
that all shards are part of, and layers whose inputs are gathered and laid side by side.
It has the same parameters, so that both compute the same logits, which is checked. The
step by hand calls `module.apply` itself and has optax's loss. Both run in turns in one
process; the median over pairs of the ratio is printed.

  python benchmarks/graphs.py --batch=64
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from vision_step import compiled, in_pairs

from algoperf.jax_sharding_utils import shard_along_batch_dim
from algoperf.optax_submission import make_train_step
from algoperf.spec import ForwardPassMode
from workloads.loading import without_data
from workloads.ogbg.data import PackedGraphs
from workloads.ogbg.graph_set import GraphSet, starts
from workloads.ogbg.mean_average_precision import mean_average_precision
from workloads.ogbg.model import Graphs
from workloads.ogbg.workload import ROOM

DROPOUT_RATE = 0.1
KEY = jax.random.PRNGKey(0)
SCORED, TASKS = 43_793, 128
PACKED, PACKED_BATCH, PACKED_BATCHES = 40_000, 512, 200


class FlatGraphs(NamedTuple):
    """jraph's `GraphsTuple`: the nodes, edges and graphs of all shards in a row."""

    nodes: jax.Array
    edges: jax.Array
    senders: jax.Array
    receivers: jax.Array
    n_node: jax.Array
    n_edge: jax.Array


def flattened(graphs: Graphs) -> FlatGraphs:
    """The same graphs without shards: nodes are counted within the batch."""
    shards, nodes = graphs.nodes.shape[:2]
    first = np.arange(shards, dtype=np.int32)[:, None] * nodes
    return FlatGraphs(
        nodes=graphs.nodes.reshape(-1, graphs.nodes.shape[-1]),
        edges=graphs.edges.reshape(-1, graphs.edges.shape[-1]),
        senders=(graphs.senders + first).ravel(),
        receivers=(graphs.receivers + first).ravel(),
        n_node=graphs.n_node.ravel(),
        n_edge=graphs.n_edge.ravel(),
    )


class ByHand(nn.Module):
    """The graph network as a transcription of jraph's: `ogbg` as it stands."""

    width: int = 256
    rounds: int = 5
    outputs: int = TASKS

    @nn.compact
    def __call__(self, graphs: FlatGraphs, train: bool) -> jax.Array:
        nodes = nn.Dense(self.width, name="node_embedding")(graphs.nodes)
        edges = nn.Dense(self.width, name="edge_embedding")(graphs.edges)
        count, (num_nodes, num_edges) = len(graphs.n_node), (len(nodes), len(edges))
        index = jnp.arange(count)
        of_node = jnp.repeat(index, graphs.n_node, total_repeat_length=num_nodes)
        of_edge = jnp.repeat(index, graphs.n_edge, total_repeat_length=num_edges)
        whole = jnp.zeros((count, self.outputs))
        for _ in range(self.rounds):
            ends = [nodes[graphs.senders], nodes[graphs.receivers]]
            edges = self._update(train, edges, *ends, whole[of_edge])
            sums = [
                jax.ops.segment_sum(edges, ends, num_nodes)
                for ends in (graphs.senders, graphs.receivers)
            ]
            nodes = self._update(train, nodes, *sums, whole[of_node])
            sums = [
                jax.ops.segment_sum(nodes, of_node, count),
                jax.ops.segment_sum(edges, of_edge, count),
            ]
            whole = self._update(train, *sums, whole)
        return nn.Dense(self.outputs)(whole)

    def _update(self, train: bool, *parts: jax.Array) -> jax.Array:
        x = nn.Dense(self.width)(jnp.concatenate(parts, axis=1))
        x = nn.relu(nn.LayerNorm()(x))
        return nn.Dropout(DROPOUT_RATE)(x, deterministic=not train)


def step_by_hand(optimizer: optax.GradientTransformation) -> Any:
    """The jitted step, (params, None, optimizer state, batch, key) -> same."""

    def train_step(params, model_state, state, batch, rng):
        def mean_loss(params):
            graphs = FlatGraphs(*batch["inputs"])
            logits = ByHand().apply(
                {"params": params}, graphs, train=True, rngs={"dropout": rng}
            )
            losses = optax.sigmoid_binary_cross_entropy(logits, batch["targets"])
            return jnp.sum(losses * batch["weights"]) / jnp.sum(batch["weights"])

        loss, grads = jax.value_and_grad(mean_loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), model_state, state, {"loss": loss}

    return jax.jit(train_step, donate_argnums=(0, 1, 2))


def report(
    what: str, by_hand: Callable[[], Any], ours: Callable[[], Any], rounds: int
) -> None:
    """Times the two in turns, and prints a line."""
    pairs = in_pairs(by_hand, ours, rounds)
    print(
        f"{what:<12} by hand {statistics.median(a for a, _ in pairs):7.3f} s, "
        f"here {statistics.median(b for _, b in pairs):7.3f} s, "
        f"ratio {statistics.median(b / a for a, b in pairs):.3f}"
    )


def measure_model(batch_size: int, rounds: int) -> None:
    """Forward passes and train steps of `ogbg`."""
    workload = without_data("ogbg")
    raw = next(workload.data.batches("train", batch_size, 0))
    batch = shard_along_batch_dim(raw)
    flat = shard_along_batch_dim({**raw, "inputs": tuple(flattened(raw["inputs"]))})
    params, _ = workload.init_model_fn(KEY)
    forward = jax.jit(
        lambda params, batch: workload.model_fn(
            params, batch, None, ForwardPassMode.EVAL, KEY, False
        )[0]
    )
    forward_by_hand = jax.jit(
        lambda params, batch: ByHand().apply(
            {"params": params}, FlatGraphs(*batch["inputs"]), train=False
        )
    )
    expected = forward_by_hand(params, flat)
    np.testing.assert_allclose(forward(params, batch), expected, rtol=1e-3, atol=1e-3)
    report(
        "forward pass",
        lambda: jax.block_until_ready(forward_by_hand(params, flat)),
        lambda: jax.block_until_ready(forward(params, batch)),
        rounds,
    )
    optimizer = optax.adamw(1e-3)
    train_step = make_train_step(workload, optimizer, None)
    ours, _ = compiled(train_step, workload, optimizer, batch)
    by_hand, _ = compiled(step_by_hand(optimizer), workload, optimizer, flat)
    for step in (ours, by_hand):
        step()
    report("train step", by_hand, ours, rounds)


def measure_metric(rounds: int) -> None:
    """The mean average precision of a split as large as ogbg's, with 40 % missing."""
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(0)
    scores = random.random((SCORED, TASKS), np.float32)
    labels = random.random((SCORED, TASKS)) < 0.02
    valid = random.random((SCORED, TASKS)) < 0.6

    def by_scikit_learn() -> float:
        values = [
            average_precision_score(labels[known, i], scores[known, i])
            for i, known in enumerate(valid.T)
        ]
        return float(np.mean(values))

    def ours() -> float:
        return mean_average_precision(scores, labels, valid)

    np.testing.assert_allclose(ours(), by_scikit_learn(), rtol=1e-9)
    report("metric", by_scikit_learn, ours, rounds)


def measure_packing() -> None:
    """Training batches of graphs as large as ogbg's, of one thread."""
    random = np.random.default_rng(0)
    num_nodes = random.integers(8, 45, PACKED)
    num_edges = num_nodes + random.integers(0, 5, PACKED)
    nodes, edges = num_nodes.sum(), num_edges.sum()
    graphs = GraphSet(
        nodes=random.integers(0, 9, (nodes, 9), np.uint8),
        edges=random.integers(0, 4, (edges, 3), np.uint8),
        ends=random.integers(0, 8, (edges, 2), np.uint16),
        node_starts=starts(num_nodes),
        edge_starts=starts(num_edges),
        labels=random.integers(-1, 2, (PACKED, TASKS), np.int8),
    )
    batches = PackedGraphs(lambda _: graphs, PACKED, ROOM).batches(
        "train", PACKED_BATCH, 0
    )
    next(batches)
    start, packed = time.perf_counter(), 0
    for _ in range(PACKED_BATCHES):
        packed += np.count_nonzero(next(batches)["weights"].any(axis=1))
    seconds = time.perf_counter() - start
    print(
        f"packing      {packed / seconds:,.0f} graphs/s, "
        f"{1e3 * seconds / PACKED_BATCHES:.2f} ms a batch of {PACKED_BATCH}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="graphs a step")
    parser.add_argument("--rounds", type=int, default=9)
    flags = parser.parse_args()
    print(
        f"batch {flags.batch}, {flags.rounds} pairs on {jax.devices()[0].device_kind}"
    )
    measure_model(flags.batch, flags.rounds)
    measure_metric(max(3, flags.rounds // 3))
    measure_packing()


if __name__ == "__main__":
    main()
