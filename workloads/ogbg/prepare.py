"""Prepares ogbg-molpcba: from OGB's files, or from what TFDS or AlgoPerf prepared.

Every split becomes one file of flat arrays, which is read whole: 250 MB in all.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from algoperf.prepare.plan import (
    Part,
    Preparation,
    Raw,
    RawFile,
    Source,
    Unit,
    nothing_to_finish,
)
from workloads.ogbg import graph_set, ogb_csv, tfds_graphs
from workloads.ogbg.data import FILE
from workloads.ogbg.graph_set import GraphSet, joined
from workloads.tfds_layout import INFO, Layout, read_records
from workloads.tfds_source import origin, prepared_layout

# Size and checksum: TFDS, datasets/ogbg_molpcba/checksums.tsv.
ARCHIVE = RawFile(
    "pcba.zip",
    39_533_472,
    "sha256:0bb12da2f3ec8b0bb80564114a6174fad2df6a3a0d3c19470b3a27813a7d4e53",
    url="https://snap.stanford.edu/ogb/data/graphproppred/csv_mol_download/pcba.zip",
)
_IN_ARCHIVE = "pcba"  # the folder that everything is in
_GRAPH_BYTES = 580  # of a prepared file, about
_BYTES_PER_S = 9e6  # of prepared files, on one core


@dataclass(frozen=True)
class Sizes:
    """What the whole data set has; tests have smaller ones."""

    graphs: Mapping[str, int] = field(
        default_factory=lambda: {
            "train": 350_343,
            "validation": 43_793,
            "test": 43_793,
        }
    )
    archive: RawFile = ARCHIVE


def preparation(sizes: Sizes | None = None) -> Preparation:
    """ogbg-molpcba with OGB's scaffold split."""
    sizes = sizes or Sizes()
    folder_files = tuple(RawFile(name, how_to_get="pcba.zip") for name in ogb_csv.FILES)
    sources = (
        Source(
            f"TFDS {tfds_graphs.HOME}",
            (
                RawFile(
                    f"{tfds_graphs.HOME}/{INFO}", how_to_get="AlgoPerf's preparation"
                ),
            ),
            functools.partial(_units_of_tfds, sizes),
            nothing_to_finish,
        ),
        Source(
            "OGB's archive",
            (sizes.archive,),
            functools.partial(_units_of_archive, sizes),
            nothing_to_finish,
        ),
        Source(
            "OGB's files, unpacked",
            folder_files,
            functools.partial(_units_of_files, sizes),
            nothing_to_finish,
        ),
    )
    return Preparation(
        folder="ogbg",
        summary="ogbg-molpcba",
        parts=(Part("ogbg-molpcba", sizes.graphs, sources),),
        bytes_per_s=_BYTES_PER_S,
    )


def _units(sizes: Sizes, read_split: Callable[[str], GraphSet]) -> list[Unit]:
    return [
        Unit(
            path=FILE.format(split=split),
            split=split,
            bytes=count * _GRAPH_BYTES,
            make=functools.partial(_make, functools.partial(read_split, split)),
        )
        for split, count in sizes.graphs.items()
    ]


def _make(read: Callable[[], GraphSet], path: Path) -> int:
    graphs = read()
    graph_set.write(path, graphs)
    return len(graphs)


def _units_of_tfds(sizes: Sizes, raw: Raw, folder: Path) -> list[Unit]:
    layout = prepared_layout(raw, tfds_graphs.HOME, tuple(sizes.graphs))
    return _units(sizes, functools.partial(_read_tfds, layout))


def _read_tfds(layout: Layout, split: str) -> GraphSet:
    shards = []
    for index in range(len(layout.shard_lengths[split])):
        path, file_format = origin(layout, split, index)
        records = read_records(path, file_format)
        shards.append(tfds_graphs.read_graphs(path, records))
    return joined(shards)


def _units_of_archive(sizes: Sizes, raw: Raw, folder: Path) -> list[Unit]:
    archive = raw[sizes.archive.name]
    return _units_of_csv(
        sizes, lambda name: ogb_csv.in_zip(archive, f"{_IN_ARCHIVE}/{name}")
    )


def _units_of_files(sizes: Sizes, raw: Raw, folder: Path) -> list[Unit]:
    return _units_of_csv(sizes, lambda name: ogb_csv.in_folder(raw[name]))


def _units_of_csv(sizes: Sizes, files: ogb_csv.Files) -> list[Unit]:
    # The files have the graphs of all splits mixed: they are read once for all.
    everything = functools.cache(lambda: ogb_csv.read_graphs(files))

    def read_split(split: str) -> GraphSet:
        graphs = everything()
        return graphs.take(ogb_csv.read_rows(files, split, len(graphs)))

    return _units(sizes, read_split)
