"""ogbg-molpcba from OGB's files and from TFDS's to the arrays that are read."""

import gzip
import hashlib

import numpy as np
import pytest
import tiny_molpcba as tiny

from algoperf.facts import UserError
from algoperf.prepare.plan import RawFile
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify
from workloads.ogbg import graph_set
from workloads.ogbg.data import read_split

SPLITS = ("train", "validation", "test")


def quietly(raw_dir, data_dir, preparation=None):
    said = []
    prepare(preparation or tiny.molpcba(), raw_dir, data_dir, said.append)
    return "\n".join(said)


def unpacked(graphs) -> list[dict[str, np.ndarray]]:
    """Graph by graph, as `tiny.graphs` has them."""
    found = []
    for i in range(len(graphs)):
        nodes = slice(*graphs.node_starts[i : i + 2])
        edges = slice(*graphs.edge_starts[i : i + 2])
        labels = graphs.labels[i].astype(np.float32)
        found.append(
            {
                "num_nodes": np.array([nodes.stop - nodes.start]),
                "node_feat": graphs.nodes[nodes],
                "num_edges": np.array([edges.stop - edges.start]),
                "edge_feat": graphs.edges[edges],
                "edge_index": graphs.ends[edges],
                "labels": np.where(labels < 0, np.nan, labels),
            }
        )
    return found


def assert_prepared(folder):
    every = tiny.graphs()
    for split in SPLITS:
        found = unpacked(read_split(folder, tiny.EXAMPLES, split))
        wanted = [every[row] for row in sorted(tiny.rows_of(split))]
        assert len(found) == len(wanted)
        for graph, expected in zip(found, wanted, strict=True):
            for name, array in expected.items():
                np.testing.assert_array_equal(graph[name], array, err_msg=name)


@pytest.fixture(scope="module")
def from_csv(tmp_path_factory):
    """The prepared folder; tests only read it."""
    raw = tiny.write_csv(tmp_path_factory.mktemp("raw"))
    data_dir = tmp_path_factory.mktemp("data")
    said = quietly(raw, data_dir)
    assert "ogbg-molpcba from OGB's files, unpacked" in said
    return data_dir / "ogbg"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.npz")}


def test_the_files_of_ogb(from_csv):
    assert_prepared(from_csv)


def test_the_archive_of_ogb(from_csv, tmp_path):
    content = tiny.archive()
    (tmp_path / "pcba.zip").write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file = RawFile("pcba.zip", len(content), digest)
    said = quietly(tmp_path, tmp_path, tiny.molpcba(file))
    assert "pcba.zip: sha256 is right" in said
    assert contents(tmp_path / "ogbg") == contents(from_csv)
    assert verify(tiny.molpcba(file), tmp_path, lambda line: None) == []


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_what_tfds_prepared(from_csv, tmp_path, file_format):
    # Where AlgoPerf's users have it: in the folder of the data set itself.
    tiny.write_tfds(tmp_path / "ogbg", file_format)
    said = quietly(tmp_path / "none", tmp_path)
    assert "ogbg-molpcba from TFDS ogbg_molpcba/0.1.3" in said
    assert contents(tmp_path / "ogbg") == contents(from_csv)


# What can be wrong with them.


def refused(tmp_path, changes) -> str:
    raw = tiny.write_csv(tmp_path / "raw", changes)
    with pytest.raises(UserError) as error:
        quietly(raw, tmp_path)
    return str(error.value)


def changed(name: str, old: bytes, new: bytes) -> dict[str, bytes]:
    """A file of OGB's whose first `old` is `new` now."""
    text = tiny.csv_files()[name]
    assert old in text
    return {name: gzip.compress(text.replace(old, new, 1))}


def first_line(name: str) -> bytes:
    return tiny.csv_files()[name].split(b"\n")[0] + b"\n"


LABELS, NODES = "raw/graph-label.csv.gz", "raw/node-feat.csv.gz"
EDGES, COUNTS = "raw/edge.csv.gz", "raw/num-node-list.csv.gz"
TEST = "split/scaffold/test.csv.gz"


@pytest.mark.parametrize(
    ("name", "new", "text"),
    [
        (
            NODES,
            b"1,2,3,4,5,6,7,8,256\n",
            "features have 256.0, and should be 0 to 255",
        ),
        (NODES, b"1,2,3,4,5,6,7,8,0.5\n", "features have 0.5, and should be integers"),
        (NODES, b"1,2,3,4,5,6,7,8,\n", "features have nan, and should be 0 to 255"),
        (NODES, b"1,2,3,4,5,6,7,8,C\n", "is no table of numbers: "),
        (NODES, b"1,2,3\n", "is no table of numbers: "),
        (NODES, b"", "are there, and the graphs have"),
        (EDGES, b"0,70\n", "graph 0 (counted from 0) has an edge that ends outside"),
        (EDGES, b"0,-1\n", "ends of edges have -1.0, and should be 0 to 65535"),
        (COUNTS, b"", f"has {tiny.COUNT - 1} lines, and"),
        (COUNTS, b"1.5\n", "is no list of integers"),
        (COUNTS, b"1,2\n", "is no table of numbers: "),
        (LABELS, b"2" + b",0" * 127 + b"\n", "graph 0 (counted from 0) has a label "),
        (TEST, b"54\n", "names graph 54; there are 0 to 53"),
        (TEST, b"-1\n", "names graph -1; there are 0 to 53"),
        (TEST, b"%d\n" % tiny.rows_of("test")[1], "names a graph twice"),
    ],
)
def test_values_that_cannot_be(tmp_path, name, new, text):
    found = refused(tmp_path, changed(name, first_line(name), new))
    assert text in found
    assert "etch it again" in found or "etch them again" in found


@pytest.mark.parametrize(
    ("name", "columns"),
    [(NODES, 9), ("raw/edge-feat.csv.gz", 3), (EDGES, 2), (LABELS, 128)],
)
def test_a_column_that_is_missing_is_named(tmp_path, name, columns):
    lines = tiny.csv_files()[name].splitlines()
    shorter = b"".join(line.rpartition(b",")[0] + b"\n" for line in lines)
    assert refused(tmp_path, {name: gzip.compress(shorter)}).endswith(
        f"{name} has {columns - 1} columns, and should have {columns}. Fetch it again."
    )


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_file_that_is_cut_short_is_named(tmp_path, cut):
    whole = gzip.compress(tiny.csv_files()[NODES], 1)
    text = refused(tmp_path, {NODES: whole[:-cut]})
    assert f"{tmp_path}/raw/pcba/{NODES} cannot be read: " in text


def test_a_flipped_bit_is_found(tmp_path):
    content = bytearray(gzip.compress(tiny.csv_files()[LABELS], 1))
    content[-6] ^= 1  # of the checksum
    assert f"{LABELS} cannot be read: " in refused(tmp_path, {LABELS: bytes(content)})


def test_a_file_that_is_no_gzip_is_named(tmp_path):
    assert f"{TEST} cannot be read: " in refused(tmp_path, {TEST: b"1\n2\n"})


def test_an_archive_without_a_file_is_named(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "pcba.zip", "w") as archive:
        archive.writestr("pcba/README", "")
    with pytest.raises(UserError, match=r"pcba.zip: pcba/raw/.* cannot be read: "):
        quietly(tmp_path, tmp_path)


def test_splits_of_another_size_are_counted(tmp_path):
    one = changed(TEST, first_line(TEST), b"")
    assert "has 10 examples in test, and should have 11" in refused(tmp_path, one)


def test_a_shard_of_tfds_that_is_cut_short_is_named(tmp_path):
    home = tiny.write_tfds(tmp_path / "raw", "tfrecord") / tiny.HOME
    shard = home / "ogbg_molpcba-train.tfrecord-00001-of-00002"
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(UserError, match="00001-of-00002 ends within record 12"):
        quietly(tmp_path / "raw", tmp_path)
    shard.unlink()
    with pytest.raises(UserError, match="is incomplete; missing: ogbg_molpcba-train"):
        quietly(tmp_path / "raw", tmp_path)


def test_records_of_something_else_are_named(tmp_path):
    import image_files

    home = tiny.write_tfds(tmp_path / "raw", "tfrecord") / tiny.HOME
    shard = home / "ogbg_molpcba-test.tfrecord-00000-of-00001"
    shard.write_bytes(image_files.tfrecord([b"no proto"] * 11))
    with pytest.raises(UserError, match=r"records from 0: one is no tf.train.Example"):
        quietly(tmp_path / "raw", tmp_path)
    shard.write_bytes(image_files.tfrecord([b""] * 11))
    with pytest.raises(UserError, match="11 graphs have 0 numbers of num_nodes, and "):
        quietly(tmp_path / "raw", tmp_path)


# And with what was prepared.


def test_prepared_files_that_are_cut_short_or_damaged_are_named(from_csv, tmp_path):
    content = (from_csv / "molpcba-test.npz").read_bytes()
    path = tmp_path / "molpcba-test.npz"
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (b"", content[:100], content[:-1], bytes(flipped), b"x" * 50):
        path.write_bytes(damaged)
        with pytest.raises(UserError) as error:
            read_split(tmp_path, tiny.EXAMPLES, "test")
        assert f"{path} cannot be read (" in str(error.value)
        assert "`algoperf prepare` makes them again." in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"molpcba-test.npz cannot be read \(.*No such"):
        read_split(tmp_path, tiny.EXAMPLES, "test")


def test_another_number_of_graphs_is_refused(from_csv):
    examples = {**tiny.EXAMPLES, "test": 12}
    with pytest.raises(UserError, match=r"test\.npz has 11 graphs, and should have 12"):
        read_split(from_csv, examples, "test")


def test_a_split_without_any_label_is_refused(from_csv, tmp_path):
    graphs = read_split(from_csv, tiny.EXAMPLES, "test")
    hidden = np.full_like(graphs.labels, graph_set.MISSING)
    write_changed(tmp_path, graphs, labels=hidden)
    with pytest.raises(UserError, match="all labels of all 11 graphs are missing, so"):
        read_split(tmp_path, tiny.EXAMPLES, "test")


def write_changed(folder, graphs, **arrays):
    content = {name: arrays.get(name, array) for name, array in vars(graphs).items()}
    np.savez(folder / "molpcba-test.npz", **content)


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("labels", lambda a: a + 5, r"graph 0 \(counted from 0\) has a label that is "),
        ("labels", lambda a: a[:-1], "the counts of nodes are not those of 10 graphs"),
        ("nodes", lambda a: a[:-1], "are there, and the graphs have"),
        ("nodes", lambda a: a.astype(float), "nodes are float64, and should be uint8"),
        ("ends", lambda a: a + 60, "has an edge that ends outside of it"),
        ("ends", lambda a: a[1:], "are there, and the graphs have"),
        ("edge_starts", lambda a: a[::-1].copy(), "the counts of edges are not those"),
        ("node_starts", lambda a: np.sort(np.append(a[2:], [0, 0])), "has no node"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(from_csv, tmp_path, name, change, text):
    graphs = read_split(from_csv, tiny.EXAMPLES, "test")
    array = getattr(graphs, name)
    changed_array = change(array)
    if changed_array.dtype != float:
        changed_array = changed_array.astype(array.dtype)
    write_changed(tmp_path, graphs, **{name: changed_array})
    with pytest.raises(UserError, match=text):
        read_split(tmp_path, tiny.EXAMPLES, "test")
