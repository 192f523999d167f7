"""A tiny ogbg-molpcba in the formats that the whole one comes in.

The arrays are made here with NumPy's generators and written with gzip, zipfile and
TFDS's own encoder, so that nothing of what reads them is used.
"""

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import image_files
import numpy as np

from algoperf.facts import Split
from algoperf.prepare.plan import Preparation, RawFile
from workloads.ogbg.prepare import Sizes, preparation
from workloads.tfds_layout import write_info, write_records

TASKS = 128
EXAMPLES: Mapping[Split, int] = {
    "train": 30,
    "eval_train": 9,
    "validation": 13,
    "test": 11,
}
COUNT = 54
_SPLITS = ("train", "validation", "test")
HOME = "ogbg_molpcba/0.1.3"

Graph = dict[str, np.ndarray]


def graphs() -> list[Graph]:
    """Graphs as TFDS has them; the third has no edge, the fourth no label at all."""
    random, found = np.random.default_rng(6), []
    for number in range(COUNT):
        nodes = int(random.integers(2, 30))
        edges = 0 if number == 2 else int(random.integers(1, 33))
        labels = (random.random(TASKS) < 0.3).astype(np.float32)
        labels[random.random(TASKS) < (1 if number == 3 else 0.4)] = np.nan
        found.append(
            {
                "num_nodes": np.array([nodes]),
                "node_feat": random.integers(0, 119, (nodes, 9)).astype(np.float32),
                "num_edges": np.array([edges]),
                "edge_feat": random.integers(0, 5, (edges, 3)).astype(np.float32),
                "edge_index": random.integers(0, nodes, (edges, 2)),
                "labels": labels,
            }
        )
    return found


def rows_of(split: str) -> list[int]:
    """The graphs of a split: they are mixed in the files."""
    order = np.random.default_rng(1).permutation(COUNT).tolist()
    start = sum(EXAMPLES[name] for name in _SPLITS[: _SPLITS.index(split)])
    return order[start : start + EXAMPLES[split]]  # type: ignore[index]


def csv_files() -> dict[str, bytes]:
    """OGB's files by name, unzipped."""
    every = graphs()

    def lines(rows: Any) -> bytes:
        return b"".join(b",".join(_text(x) for x in row) + b"\n" for row in rows)

    files = {
        name: lines(np.concatenate([graph[key] for graph in every]).reshape(-1, width))
        for name, key, width in (
            ("node-feat", "node_feat", 9),
            ("edge-feat", "edge_feat", 3),
            ("edge", "edge_index", 2),
            ("num-node-list", "num_nodes", 1),
            ("num-edge-list", "num_edges", 1),
        )
    }
    files["graph-label"] = b"".join(
        b",".join(b"" if np.isnan(x) else b"%.1f" % x for x in graph["labels"]) + b"\n"
        for graph in every
    )
    raw = {f"raw/{name}.csv.gz": content for name, content in files.items()}
    splits = {
        f"split/scaffold/{name}.csv.gz": lines([[row] for row in rows_of(split)])
        for name, split in zip(("train", "valid", "test"), _SPLITS, strict=True)
    }
    return raw | splits


def _text(value: float) -> bytes:
    return b"%d" % int(value)


def write_csv(folder: Path, changes: Mapping[str, bytes] | None = None) -> Path:
    """The folder `pcba` below `folder`; `changes` replace files (gzipped already)."""
    zipped = {name: gzip.compress(text, 1) for name, text in csv_files().items()}
    for name, content in (zipped | dict(changes or {})).items():
        path = folder / "pcba" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def archive() -> bytes:
    """pcba.zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as content:
        for name, text in csv_files().items():
            content.writestr(f"pcba/{name}", gzip.compress(text, 1))
    return stream.getvalue()


def write_tfds(folder: Path, file_format: str) -> Path:
    """TFDS's folder, of two shards in `train` and one in the others."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "num_nodes": tfds.features.Tensor(shape=(None,), dtype=np.int64),
            "node_feat": tfds.features.Tensor(shape=(None, 9), dtype=np.float32),
            "num_edges": tfds.features.Tensor(shape=(None,), dtype=np.int64),
            "edge_feat": tfds.features.Tensor(shape=(None, 3), dtype=np.float32),
            "edge_index": tfds.features.Tensor(shape=(None, 2), dtype=np.int64),
            "labels": tfds.features.Tensor(shape=(TASKS,), dtype=np.float32),
        }
    )
    every, home, shards = graphs(), folder / HOME, {}
    home.mkdir(parents=True)
    for split in _SPLITS:
        rows = sorted(rows_of(split))
        parts = [rows[:17], rows[17:]] if split == "train" else [rows]
        shards[split] = []
        for index, part in enumerate(parts):
            encoded = [
                features.serialize_example(features.encode_example(every[row]))
                for row in part
            ]
            name = f"ogbg_molpcba-{split}.{file_format}-{index:05d}-of-{len(parts):05d}"
            if file_format == "tfrecord":
                (home / name).write_bytes(image_files.tfrecord(encoded))
            else:
                write_records(home / name, encoded)
            shards[split].append((len(part), 1_000))
    write_info(home, "ogbg_molpcba", "0.1.3", features, shards)
    if file_format == "tfrecord":
        info = home / "dataset_info.json"
        info.write_text(info.read_text().replace("array_record", "tfrecord"))
    return folder


def molpcba(archive_file: RawFile | None = None) -> Preparation:
    """The preparation of a data set so small."""
    sizes = {split: EXAMPLES[split] for split in _SPLITS}
    return preparation(Sizes(sizes, archive_file or RawFile("pcba.zip")))
