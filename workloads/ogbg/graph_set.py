"""Many labelled graphs in a few flat arrays, and the files that hold them."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.facts import UserError

# Of ogbg-molpcba: features of a node and of an edge, labels of a graph.
NODE_FEATURES, EDGE_FEATURES, TASKS = 9, 3, 128
MISSING = -1  # a label that nobody has measured

# What NumPy and zipfile raise for files that are damaged or something else.
_UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    NotImplementedError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
_TYPES = {
    "nodes": np.uint8,
    "edges": np.uint8,
    "ends": np.uint16,
    "node_starts": np.int64,
    "edge_starts": np.int64,
    "labels": np.int8,
}


@dataclass(frozen=True)
class GraphSet:
    """Undirected graphs, one after the other in every array.

    Graph g has the rows `node_starts[g]` to `node_starts[g + 1]` of `nodes`, and those
    of `edge_starts` of `edges` and `ends`. An edge is there once, not in both
    directions. The features of molecules are small integers, so that the 437,929
    graphs of ogbg-molpcba take 250 MB.
    """

    nodes: np.ndarray  # features, uint8 [node, any]
    edges: np.ndarray  # features, uint8 [edge, any]
    ends: np.ndarray  # uint16 [edge, 2], the nodes of its graph that it joins
    node_starts: np.ndarray  # int64 [graph + 1]
    edge_starts: np.ndarray  # int64 [graph + 1]
    labels: np.ndarray  # int8 [graph, task]: 0, 1 or MISSING

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> np.ndarray:
        """Nodes and edges of each graph, int64 [graph, 2]; an edge counts once."""
        return np.stack([np.diff(self.node_starts), np.diff(self.edge_starts)], axis=1)

    def sizes_of(self, rows: np.ndarray) -> np.ndarray:
        """The same of these rows."""
        begins = (self.node_starts, self.edge_starts)
        return np.stack([begin[rows + 1] - begin[rows] for begin in begins], axis=1)

    def take(self, rows: np.ndarray) -> "GraphSet":
        """The graphs of these rows, in this order."""
        num_nodes, num_edges = self.sizes_of(rows).T
        edges = ranges(self.edge_starts[rows], num_edges)
        return GraphSet(
            nodes=self.nodes[ranges(self.node_starts[rows], num_nodes)],
            edges=self.edges[edges],
            ends=self.ends[edges],
            node_starts=starts(num_nodes),
            edge_starts=starts(num_edges),
            labels=self.labels[rows],
        )


def starts(counts: np.ndarray) -> np.ndarray:
    """Where each of so many rows begin, and where the last end: int64 [count + 1]."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`counts[i]` numbers from `first[i]` up, for every i, joined: int64."""
    begin = starts(counts)
    return np.repeat(first - begin[:-1], counts) + np.arange(begin[-1])


def joined(parts: Sequence[GraphSet]) -> GraphSet:
    """The graphs of all parts, in order."""
    node_counts, edge_counts = np.concatenate([part.sizes for part in parts]).T
    return GraphSet(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("nodes", "edges", "ends", "labels")
        },
        node_starts=starts(node_counts),
        edge_starts=starts(edge_counts),
    )


def from_numbers(
    what: str,
    *,
    nodes: np.ndarray,
    edges: np.ndarray,
    ends: np.ndarray,
    num_nodes: np.ndarray,
    num_edges: np.ndarray,
    labels: np.ndarray,
) -> GraphSet:
    """Graphs of arrays of any number type, as data sets have them.

    Args:
      what: where the numbers come from, for errors.
      nodes: [node, any]; edges: [edge, any]; ends: [edge, 2].
      num_nodes, num_edges: [graph].
      labels: [graph, task], NaN where one is missing.

    Raises:
      UserError: counts do not fit, a feature is no integer from 0 to 255, a label is
        not 0, 1 or NaN, or an edge ends outside of its graph.
    """
    known = ~np.isnan(labels)
    graphs = GraphSet(
        nodes=small_integers(what, "node features", nodes, np.uint8),
        edges=small_integers(what, "edge features", edges, np.uint8),
        ends=small_integers(what, "ends of edges", ends, np.uint16),
        node_starts=starts(num_nodes),
        edge_starts=starts(num_edges),
        labels=small_integers(
            what, "labels", np.where(known, labels, MISSING), np.int8
        ),
    )
    check(what, graphs)
    return graphs


def check(what: str, graphs: GraphSet) -> None:
    """Refuses what would be read out of bounds later, where nothing is checked.

    Raises:
      UserError: an array has the wrong type or length, a graph has no node, an edge
        ends outside of its graph, or a label is not 0, 1 or missing.
    """
    for name, wanted in _TYPES.items():
        found = getattr(graphs, name).dtype
        if found != wanted:
            raise _wrong(what, f"{name} are {found}, and should be {np.dtype(wanted)}")
    for name, begin, rows in (
        ("nodes", graphs.node_starts, (graphs.nodes,)),
        ("edges", graphs.edge_starts, (graphs.edges, graphs.ends)),
    ):
        _check_starts(what, name, begin, len(graphs))
        for array in rows:
            if array.ndim != 2 or len(array) != begin[-1]:
                raise _wrong(
                    what,
                    f"{name} of the shape {array.shape} are there, and the graphs have "
                    f"{begin[-1]:,}",
                )
    num_nodes, num_edges = graphs.sizes.T
    _check_none(what, num_nodes < 1, "has no node")
    limit = np.repeat(num_nodes, num_edges)
    outside = np.any(graphs.ends >= limit[:, None], axis=1)
    owners = np.repeat(np.arange(len(graphs)), num_edges)
    _check_none(what, outside, "has an edge that ends outside of it", owners)
    labels = graphs.labels
    unknown = (labels.min(axis=1) < MISSING) | (labels.max(axis=1) > 1)
    _check_none(what, unknown, "has a label that is not 0, 1 or missing")


def _check_starts(what: str, name: str, begin: np.ndarray, count: int) -> None:
    if begin.shape != (count + 1,) or begin[0] != 0 or np.any(np.diff(begin) < 0):
        raise _wrong(what, f"the counts of {name} are not those of {count:,} graphs")


def _check_none(
    what: str, bad: Any, problem: str, graph: np.ndarray | None = None
) -> None:
    """`bad` is true for what has the problem, and belongs to `graph` where given."""
    if bad.any():
        first = int(np.argmax(bad))
        number = first if graph is None else int(graph[first])
        raise _wrong(what, f"graph {number:,} (counted from 0) {problem}")


def small_integers(what: str, name: str, values: np.ndarray, dtype: type) -> np.ndarray:
    """The numbers as a small integer type, int8 from -1 up.

    Raises:
      UserError: one is no integer, or out of range.
    """
    limits = np.iinfo(dtype)
    low = 0 if dtype != np.int8 else MISSING
    # NaN fails the first comparison.
    good = (values >= low) & (values <= limits.max)
    if not good.all():
        bad = values[~good].flat[0]
        raise _wrong(what, f"{name} have {bad}, and should be {low} to {limits.max}")
    small = values.astype(dtype)
    if np.any(small != values):
        bad = values[small != values].flat[0]
        raise _wrong(what, f"{name} have {bad}, and should be integers")
    return small


def _wrong(what: str, problem: str) -> UserError:
    return UserError(f"{what}: {problem}. Fetch it again, or prepare it again.")


def write(path: Path, graphs: GraphSet) -> None:
    """Writes a file; the same graphs give the same bytes."""
    with open(path, "wb") as file:
        np.savez(
            file,
            **{field.name: getattr(graphs, field.name) for field in fields(graphs)},
        )


def read(path: Path) -> GraphSet:
    """The graphs of a file, in memory.

    Raises:
      UserError: the file is missing, cut short, damaged (every array has a checksum),
        or holds something else.
    """
    try:
        # Opened here: NumPy leaves a file open that is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            graphs = GraphSet(**{name: arrays[name] for name in _TYPES})
    except _UNREADABLE as error:
        raise UserError(
            f"{path} cannot be read ({error}). `algoperf prepare --verify` finds all "
            "such files, and `algoperf prepare` makes them again."
        ) from None
    check(str(path), graphs)
    return graphs
