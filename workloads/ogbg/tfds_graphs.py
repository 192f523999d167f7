"""The graphs in the records of TFDS's ogbg_molpcba."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.facts import UserError
from workloads.ogbg.graph_set import (
    EDGE_FEATURES,
    NODE_FEATURES,
    TASKS,
    GraphSet,
    from_numbers,
    joined,
)
from workloads.tfds_layout import example_type

HOME = "ogbg_molpcba/0.1.3"
_AT_ONCE = 4_096  # records that become arrays together
# Feature -> its list in the proto, and its length per node, edge or graph.
_FEATURES = {
    "node_feat": ("float_list", NODE_FEATURES),
    "edge_feat": ("float_list", EDGE_FEATURES),
    "edge_index": ("int64_list", 2),
    "num_nodes": ("int64_list", 1),
    "num_edges": ("int64_list", 1),
    "labels": ("float_list", TASKS),
}


def read_graphs(path: Path, records: Iterable[bytes]) -> GraphSet:
    """The graphs of a shard; `path` is for errors.

    Raises:
      UserError: a record is no graph, or there is none.
    """
    left = iter(records)
    parts: list[GraphSet] = []
    while chunk := list(itertools.islice(left, _AT_ONCE)):
        start = _AT_ONCE * len(parts)
        parts.append(_graphs(f"{path}, records from {start:,}", chunk))
    if not parts:
        raise UserError(f"{path} has no records. Fetch it again.")
    return joined(parts)


def _graphs(what: str, records: list[bytes]) -> GraphSet:
    parse = example_type().FromString
    try:
        features = [parse(record).features.feature for record in records]
    except Exception as error:  # protobuf's is of no public class
        problem = f"{what}: one is no tf.train.Example ({error}). Fetch it again."
        raise UserError(problem) from None
    arrays = {name: _array(what, features, name) for name in _FEATURES}
    return from_numbers(
        what,
        nodes=arrays["node_feat"],
        edges=arrays["edge_feat"],
        ends=arrays["edge_index"],
        num_nodes=arrays["num_nodes"][:, 0],
        num_edges=arrays["num_edges"][:, 0],
        labels=arrays["labels"],
    )


def _array(what: str, features: list[Any], name: str) -> np.ndarray:
    """A feature of all records, joined: [row, `width`]."""
    kind, width = _FEATURES[name]
    dtype = np.float32 if kind == "float_list" else np.int64
    lists = [
        np.asarray(getattr(feature[name], kind).value, dtype) for feature in features
    ]
    values = np.concatenate(lists)
    rows = len(features)
    per_graph = name.startswith("num_") or name == "labels"
    if values.size % width or (per_graph and values.size != rows * width):
        raise UserError(
            f"{what}: {rows:,} graphs have {values.size:,} numbers of {name}, and "
            f"should have {width} each for every {'graph' if per_graph else 'row'}. "
            "Fetch it again."
        )
    return values.reshape(-1, width)
