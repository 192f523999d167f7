"""ogbg and its variants: binary labels of molecules; small ones of generated graphs."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.data import Batches, DataSource
from algoperf.data_options import DataOptions
from algoperf.eval_cache import EvalCache
from algoperf.facts import Facts, Split
from algoperf.workload import Workload
from workloads.ogbg.data import PackedGraphs, read_split
from workloads.ogbg.graph_set import (
    EDGE_FEATURES,
    MISSING,
    NODE_FEATURES,
    GraphSet,
    starts,
)
from workloads.ogbg.losses import GRAPH_LABELS, label_cross_entropy
from workloads.ogbg.model import GraphNetwork, Graphs, feed_graphs
from workloads.ogbg.molecules import molecules
from workloads.ogbg.packing import Room

ROOM = Room(nodes=26, edges=56)  # ogbg-molpcba's means
MINI_ROOM = Room(nodes=14, edges=30)
MINI_SEED = 2020  # of the generated molecules


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """The graph network on molecules, a variant of it, or a small one."""
    model = GraphNetwork(**facts.model)
    layers = 3 * model.num_message_passing_steps * len(model.hidden_dims)
    room = ROOM if facts.scale == "full" else MINI_ROOM
    return Workload(
        facts=facts,
        model=model,
        example_batch=example_batch(room, model.num_outputs),
        forward=feed_graphs,
        loss=label_cross_entropy,
        metrics=GRAPH_LABELS,
        data=_source(facts, folder, options, model.num_outputs),
        init_key=lambda key: jax.random.split(key, 2)[1],  # AlgoPerf's second one
        output_params=(f"Dense_{layers}",),
        default_dropout_rate=0.1,
    )


def example_batch(room: Room, num_tasks: int) -> dict[str, object]:
    """Shapes of a batch of one graph: a shard, with its padding graph and node."""
    features = jax.ShapeDtypeStruct((1, room.nodes + 1, NODE_FEATURES), jnp.float32)
    edges = jax.ShapeDtypeStruct((1, room.edges, EDGE_FEATURES), jnp.float32)
    ends = jax.ShapeDtypeStruct((1, room.edges), jnp.int32)
    counts = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    labels = jax.ShapeDtypeStruct((2, num_tasks), jnp.float32)
    return {
        "inputs": Graphs(features, edges, ends, ends, counts, counts),
        "targets": labels,
        "weights": labels,
    }


class RandomGraphs:
    """Graphs that fill a batch to its capacity; an evaluation split is one batch."""

    def __init__(self, num_tasks: int):
        self._num_tasks = num_tasks

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        graphs = _random_graphs(batch_size, self._num_tasks)
        source = PackedGraphs(lambda _: graphs, batch_size, ROOM)
        return source.batches(split, batch_size, seed, position)


@functools.lru_cache(maxsize=2)  # a training batch and an evaluation batch
def _random_graphs(count: int, num_tasks: int) -> GraphSet:
    random = np.random.default_rng(0)
    nodes, edges = ROOM.nodes, ROOM.edges // 2
    return GraphSet(
        nodes=random.integers(0, 12, (count * nodes, NODE_FEATURES), np.uint8),
        edges=random.integers(0, 4, (count * edges, EDGE_FEATURES), np.uint8),
        ends=random.integers(0, nodes, (count * edges, 2), np.uint16),
        node_starts=starts(np.full(count, nodes)),
        edge_starts=starts(np.full(count, edges)),
        labels=random.integers(MISSING, 2, (count, num_tasks), np.int8),
    )


def _source(
    facts: Facts, folder: Path | None, options: DataOptions, num_tasks: int
) -> DataSource:
    num_eval_train = facts.examples["eval_train"]
    if options.random:
        return RandomGraphs(num_tasks)
    if folder is None:
        load = functools.partial(molecules, facts.examples, MINI_SEED)
        return PackedGraphs(load, num_eval_train, MINI_ROOM)
    load = functools.partial(read_split, folder, facts.examples)
    source = PackedGraphs(load, num_eval_train, ROOM)
    return EvalCache(source, options.eval_cache_bytes)
