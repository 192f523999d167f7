"""Batches of fixed capacity: against packing graph by graph, and what they promise."""

import jax
import numpy as np
import pytest
import tiny_molpcba as tiny

from algoperf.facts import EVAL_SPLITS, UserError
from workloads.ogbg.data import PackedGraphs
from workloads.ogbg.graph_set import GraphSet, from_numbers, joined
from workloads.ogbg.packing import Room, capacity

ROOM = Room(nodes=26, edges=56)


def graph_set(graphs) -> GraphSet:
    arrays = {
        name: np.concatenate([graph[name] for graph in graphs])
        for name in ("num_nodes", "num_edges")
    } | {
        "nodes": np.concatenate([graph["node_feat"] for graph in graphs]),
        "edges": np.concatenate([graph["edge_feat"] for graph in graphs]),
        "ends": np.concatenate([graph["edge_index"] for graph in graphs]),
        "labels": np.stack([graph["labels"] for graph in graphs]),
    }
    return from_numbers("graphs made here", **arrays)


GRAPHS = tiny.graphs()
# A number that tells which graph it is, in the first feature of its nodes.
for _number, _graph in enumerate(GRAPHS):
    _graph["node_feat"][:, 0] = _number
SOURCE = PackedGraphs(lambda split: graph_set(GRAPHS), 17, ROOM)
SIZES = [(len(g["node_feat"]), 2 * len(g["edge_feat"])) for g in GRAPHS]


def numbers_of(batch) -> list[list[int]]:
    """Which graphs lie in the shards of a batch, in order."""
    graphs, found = batch["inputs"], []
    real = has_labels(batch).reshape(graphs.n_node.shape)
    for shard in range(len(graphs.nodes)):
        ends = np.cumsum(graphs.n_node[shard])
        # The padding graph has the rest of the shard's nodes, after the others.
        count = int(np.flatnonzero(ends == graphs.nodes.shape[1])[0])
        assert not real[shard, count:].any()
        first = ends[:count] - graphs.n_node[shard, :count]
        found.append(graphs.nodes[shard, first, 0].astype(int).tolist())
    return found


def has_labels(batch) -> np.ndarray:
    return batch["weights"].any(axis=1)


def packed_by_hand(order, shards, graphs, nodes, edges):
    """Shard after shard: a graph that exceeds one of the limits begins the next."""
    found, now, used = [], [], (0, 0, 0)
    for number in order:
        size = (1, *SIZES[number])
        total = tuple(a + b for a, b in zip(used, size, strict=True))
        if any(a > b for a, b in zip(total, (graphs, nodes, edges), strict=True)):
            found.append(now)
            now, total = [], size
        now, used = [*now, number], total
    found.append(now)
    found += [[]] * (-len(found) % shards)
    return [found[i : i + shards] for i in range(0, len(found), shards)]


@pytest.mark.parametrize(
    ("size", "shards", "graphs"), [(32, 8, 4), (24, 8, 3), (20, 4, 5), (512, 8, 64)]
)
def test_shards_are_filled_in_order_until_a_limit_is_exceeded(size, shards, graphs):
    batches = SOURCE.batches("validation", size, 0)
    found = [numbers_of(batch) for batch in batches]
    expected = packed_by_hand(
        range(len(GRAPHS)), shards, graphs, 26 * graphs, 56 * graphs
    )
    assert found == expected


def test_training_batches_are_full_and_go_on_over_epochs():
    batches = SOURCE.batches("train", 32, seed=3)
    found = [numbers_of(next(batches)) for _ in range(9)]
    stream = [number for batch in found for shard in batch for number in shard]
    count = len(GRAPHS)
    assert len(stream) > 3 * count
    for epoch in range(3):
        part = stream[epoch * count : (epoch + 1) * count]
        assert sorted(part) == list(range(count))
    assert stream[:count] != stream[count : 2 * count]
    assert found == packed_by_hand(stream, 8, 4, 26 * 4, 56 * 4)[:9]
    assert all(all(batch) for batch in found)


def test_a_graph_lies_in_its_batch_as_it_is():
    (batch,) = SOURCE.batches("test", 512, 0)
    graphs, seen = batch["inputs"], 0
    for shard, numbers in enumerate(numbers_of(batch)):
        node = edge = 0
        for slot, number in enumerate(numbers):
            graph = GRAPHS[number]
            n, e = SIZES[number]
            assert (graphs.n_node[shard, slot], graphs.n_edge[shard, slot]) == (n, e)
            nodes, edges = slice(node, node + n), slice(edge, edge + e)
            np.testing.assert_array_equal(
                graphs.nodes[shard, nodes], graph["node_feat"]
            )
            # Both ways: all edges as they are, then all of them reversed.
            one, other = graph["edge_index"].T + node
            np.testing.assert_array_equal(
                graphs.senders[shard, edges], np.concatenate([one, other])
            )
            np.testing.assert_array_equal(
                graphs.receivers[shard, edges], np.concatenate([other, one])
            )
            np.testing.assert_array_equal(
                graphs.edges[shard, edges], np.tile(graph["edge_feat"], (2, 1))
            )
            row = shard * graphs.n_node.shape[1] + slot
            known = ~np.isnan(graph["labels"])
            np.testing.assert_array_equal(batch["weights"][row], known)
            np.testing.assert_array_equal(
                batch["targets"][row], np.nan_to_num(graph["labels"])
            )
            node, edge, seen = node + n, edge + e, seen + 1
        # Padding: zeros, whose edges join the first padding node to itself.
        assert not graphs.nodes[shard, node:].any()
        assert not graphs.edges[shard, edge:].any()
        assert np.all(graphs.senders[shard, edge:] == node)
        assert np.all(graphs.receivers[shard, edge:] == node)
        assert node < graphs.nodes.shape[1]
        assert graphs.n_node[shard].sum() == graphs.nodes.shape[1]
        assert graphs.n_edge[shard].sum() == graphs.edges.shape[1]
    assert seen == len(GRAPHS)


def test_shapes_are_those_of_the_facts():
    batch = next(SOURCE.batches("train", 512, 0))
    shapes = {name: a.shape for name, a in batch["inputs"]._asdict().items()}
    assert shapes == {
        "nodes": (8, 26 * 64 + 1, 9),
        "edges": (8, 56 * 64, 3),
        "senders": (8, 56 * 64),
        "receivers": (8, 56 * 64),
        "n_node": (8, 65),
        "n_edge": (8, 65),
    }
    for name in ("targets", "weights"):
        assert batch[name].shape == (8 * 65, 128)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(batch)}
    assert dtypes == {np.dtype("float32"), np.dtype("int32")}


@pytest.mark.parametrize("split", EVAL_SPLITS)
@pytest.mark.parametrize("size", [1, 2, 5, 8, 16, 40, 4_096])
def test_evaluations_have_every_graph_once_at_any_batch_size(split, size):
    batches = list(SOURCE.batches(split, size, 0))
    found = [n for batch in batches for shard in numbers_of(batch) for n in shard]
    assert len(found) == len(set(found)) == (17 if split == "eval_train" else 54)
    shapes = [[leaf.shape for leaf in jax.tree.leaves(batch)] for batch in batches]
    assert all(shape == shapes[0] for shape in shapes)
    later = list(SOURCE.batches(split, size, 0, position=len(batches) - 1))
    assert len(later) == 1
    jax.tree.map(np.testing.assert_array_equal, later[0], batches[-1])


def test_training_begins_anywhere_and_follows_the_seed():
    straight = SOURCE.batches("train", 24, seed=4)
    batches = [next(straight) for _ in range(12)]
    for position in (1, 7, 11):
        batch = next(SOURCE.batches("train", 24, seed=4, position=position))
        jax.tree.map(np.testing.assert_array_equal, batch, batches[position])
    other = next(SOURCE.batches("train", 24, seed=5))
    assert numbers_of(other) != numbers_of(batches[0])


@pytest.mark.parametrize("size", [8, 16, 24, 40, 512, 32_768])
def test_capacity_is_the_same_on_1_2_4_and_8_devices(size):
    (found,) = {capacity(size, ROOM, devices) for devices in (1, 2, 4, 8)}
    assert (found.shards, found.graphs) == (8, size // 8)
    assert (found.nodes, found.edges) == (26 * size // 8, 56 * size // 8)


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16])
def test_any_number_of_devices_gets_as_many_shards_each(devices):
    for size in (devices, 3 * devices, 8 * devices):
        found = capacity(size, ROOM, devices)
        assert found.shards % devices == 0
        assert found.shards * found.graphs == size


# Graphs that batches have no room for.


def test_a_graph_larger_than_a_training_batch_is_named_with_the_size_that_fits():
    largest = max(nodes for nodes, _ in SIZES)
    assert largest == 28
    with pytest.raises(UserError) as error:
        for _, _batch in zip(range(20), SOURCE.batches("train", 8, 0), strict=False):
            pass
    text = str(error.value)
    assert "and a shard of the batch has room for 26 and 56." in text
    assert text.endswith("Use a batch size of at least 16.")
    batches = SOURCE.batches("train", 16, 0)
    for _ in range(30):
        next(batches)


def one_graph(nodes: int, edges: int, label: float):
    return {
        "num_nodes": np.array([nodes]),
        "node_feat": np.ones((nodes, 9)),
        "num_edges": np.array([edges]),
        "edge_feat": np.ones((edges, 3)),
        "edge_index": np.zeros((edges, 2)),
        "labels": np.full(4, label),
    }


@pytest.mark.parametrize(
    ("nodes", "edges", "fitting"), [(53, 3, 24), (2, 57, 24), (52, 56, 16)]
)
def test_the_size_that_an_error_asks_for_is_the_smallest(nodes, edges, fitting):
    graphs = graph_set([one_graph(nodes, edges, 1.0)] * 9)
    source = PackedGraphs(lambda split: graphs, 9, ROOM)
    next(source.batches("train", fitting, 0))
    with pytest.raises(UserError, match=f"a batch size of at least {fitting}"):
        next(source.batches("train", fitting - 8, 0))


def test_graphs_without_edges_labels_or_neighbours_are_packed():
    graphs = graph_set([one_graph(1, 0, np.nan)] * 3)
    source = PackedGraphs(lambda split: graphs, 3, ROOM)
    (batch,) = source.batches("test", 8, 0)
    assert batch["inputs"].n_node[:4, 0].tolist() == [1, 1, 1, 27]
    assert batch["inputs"].n_edge[:, 0].tolist() == [0] * 3 + [56] * 5
    assert not has_labels(batch).any()


def test_joined_sets_have_the_graphs_of_both():
    whole, parts = graph_set(GRAPHS), [graph_set(GRAPHS[:20]), graph_set(GRAPHS[20:])]
    for name, array in vars(joined(parts)).items():
        np.testing.assert_array_equal(array, getattr(whole, name))
