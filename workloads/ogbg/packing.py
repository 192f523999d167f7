"""Graphs packed into batches of fixed capacity.

As in AlgoPerf, graphs are taken in order and put into a shard until the next one would
exceed its room for graphs, nodes or edges; what is left is a padding graph.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from algoperf.facts import UserError
from algoperf.spec import Batch
from workloads.ogbg.graph_set import MISSING, GraphSet, ranges
from workloads.ogbg.model import Graphs

# Shards do not depend on the number of devices, so neither does what a batch holds.
SHARDS = 8


class Room(NamedTuple):
    """Nodes and directed edges that a shard has room for, per graph: means, about."""

    nodes: int
    edges: int


class Capacity(NamedTuple):
    """What fits in a batch: `shards` of so many graphs, nodes and directed edges.

    One more graph and one more node a shard are padding, always.
    """

    shards: int
    graphs: int
    nodes: int
    edges: int

    def with_room_for(self, graphs: GraphSet) -> "Capacity":
        """The same, large enough for the largest of these graphs."""
        nodes, edges = graphs.sizes.max(axis=0)
        return self._replace(
            nodes=max(self.nodes, int(nodes)), edges=max(self.edges, 2 * int(edges))
        )


def capacity(batch_size: int, room: Room, devices: int) -> Capacity:
    """The capacity of a batch of `batch_size` graphs, which `devices` should divide.

    There are 8 shards, or as many of them as divide the batch: the same on 1, 2, 4
    and 8 devices. On any other number of devices there are more, so that it divides
    them.
    """
    shards = math.lcm(math.gcd(batch_size, SHARDS), devices)
    graphs = -(-batch_size // shards)
    return Capacity(shards, graphs, room.nodes * graphs, room.edges * graphs)


# The rows of a stream of graphs from `start` to `stop`; fewer at its end.
Stream = Callable[[int, int], np.ndarray]


def packed_rows(
    stream: Stream, sizes: np.ndarray, limits: Capacity
) -> Iterator[list[np.ndarray]]:
    """The rows of the graphs of every batch, shard by shard; ends with the stream.

    Args:
      stream: the order in which graphs are taken.
      sizes: nodes and (undirected) edges of each graph, [graph, 2].

    Raises:
      UserError: a graph is too large for a shard.
    """
    room = limits.nodes, limits.edges // 2
    position, shards = 0, []
    while len(rows := stream(position, position + limits.graphs)):
        filled = np.cumsum(sizes[rows], axis=0)
        count = min(
            int(np.searchsorted(filled[:, i], room[i], side="right")) for i in (0, 1)
        )
        if not count:
            raise _too_large(rows[0], sizes[rows[0]], limits)
        shards.append(rows[:count])
        position += count
        if len(shards) == limits.shards:
            yield shards
            shards = []
    if shards:
        yield shards


def _too_large(row: int, size: np.ndarray, limits: Capacity) -> UserError:
    nodes, edges = size
    fitting = math.ceil(
        max(
            nodes * limits.graphs / limits.nodes,
            2 * edges * limits.graphs / limits.edges,
        )
    )
    return UserError(
        f"graph {row:,} has {nodes:,} nodes and {edges:,} edges (both ways "
        f"{2 * edges:,}), and a shard of the batch has room for {limits.nodes:,} and "
        f"{limits.edges:,}. Use a batch size of at least {fitting * limits.shards:,}."
    )


def packed_batch(graphs: GraphSet, shards: list[np.ndarray], limits: Capacity) -> Batch:
    """A batch of the graphs of these rows, one list a shard; further shards are empty.

    Returns:
      `inputs`, `Graphs` whose edges go both ways: those of a graph as they are, then
      all of them reversed. `targets` and `weights`, float32
      [shards * (graphs + 1), task]; both are 0 where a label is missing, and for
      padding.
    """
    places = _places(graphs, shards, limits)
    labels = graphs.labels[places.rows]
    slots = limits.shards, limits.graphs + 1, labels.shape[1]
    targets, weights = np.zeros((2, *slots), np.float32)
    targets[places.shard, places.slot] = labels == 1
    weights[places.shard, places.slot] = labels != MISSING
    return {
        "inputs": _inputs(graphs, places, limits),
        "targets": targets.reshape(-1, labels.shape[1]),
        "weights": weights.reshape(-1, labels.shape[1]),
    }


class _Places(NamedTuple):
    """Where the graphs of a batch go; arrays have a number per graph, but the last."""

    rows: np.ndarray
    shard: np.ndarray
    slot: np.ndarray  # which of its shard's graphs it is
    num_nodes: np.ndarray
    num_edges: np.ndarray  # each counted once
    first_node: np.ndarray  # in its shard
    first_edge: np.ndarray
    n_node: np.ndarray  # as `Graphs` has them
    n_edge: np.ndarray
    used_nodes: np.ndarray  # [shard], without padding


def _places(graphs: GraphSet, shards: list[np.ndarray], limits: Capacity) -> _Places:
    rows = np.concatenate(shards)
    counts = np.zeros(limits.shards, np.int64)
    counts[: len(shards)] = [len(shard) for shard in shards]
    every = np.arange(limits.shards)
    shard = np.repeat(every, counts)
    slot = ranges(np.zeros_like(counts), counts)
    num_nodes, num_edges = graphs.sizes_of(rows).T
    n_node, n_edge = np.zeros((2, limits.shards, limits.graphs + 1), np.int32)
    n_node[shard, slot], n_edge[shard, slot] = num_nodes, 2 * num_edges
    first_node = (np.cumsum(n_node, axis=1) - n_node)[shard, slot]
    first_edge = (np.cumsum(n_edge, axis=1) - n_edge)[shard, slot]
    used_nodes = n_node.sum(axis=1)
    # The first slot that no graph is in belongs to the padding.
    n_node[every, counts] = limits.nodes + 1 - used_nodes
    n_edge[every, counts] = limits.edges - n_edge.sum(axis=1)
    return _Places(
        rows=rows,
        shard=shard,
        slot=slot,
        num_nodes=num_nodes,
        num_edges=num_edges,
        first_node=first_node,
        first_edge=first_edge,
        n_node=n_node,
        n_edge=n_edge,
        used_nodes=used_nodes,
    )


def _inputs(graphs: GraphSet, places: _Places, limits: Capacity) -> Graphs:
    num_nodes, num_edges = places.num_nodes, places.num_edges
    shape = limits.shards, limits.nodes + 1, graphs.nodes.shape[1]
    nodes = np.zeros(shape, np.float32)
    target = np.repeat(places.shard, num_nodes), ranges(places.first_node, num_nodes)
    nodes[target] = graphs.nodes[ranges(graphs.node_starts[places.rows], num_nodes)]

    source = ranges(graphs.edge_starts[places.rows], num_edges)
    features = graphs.edges[source]
    ends = graphs.ends[source].T + np.repeat(places.first_node, num_edges)
    shard = np.repeat(places.shard, num_edges)
    there = ranges(places.first_edge, num_edges)
    back = there + np.repeat(num_edges, num_edges)
    edges = np.zeros((limits.shards, limits.edges, features.shape[1]), np.float32)
    # Padding edges join the first padding node to itself.
    padding = places.used_nodes[:, None].astype(np.int32)
    senders = np.repeat(padding, limits.edges, axis=1)
    receivers = senders.copy()
    for place, (sender, receiver) in ((there, ends), (back, ends[::-1])):
        edges[shard, place] = features
        senders[shard, place], receivers[shard, place] = sender, receiver
    return Graphs(nodes, edges, senders, receivers, places.n_node, places.n_edge)
