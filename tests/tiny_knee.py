"""fastMRI in small: volumes in the official format that tell which slice is which."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from algoperf.data_options import DataOptions
from algoperf.facts import Split
from algoperf.prepare.run import prepare
from workloads.fastmri.data import KneeSlices
from workloads.fastmri.prepare import Sizes, preparation

ROWS, SIZE = 20, 8
# Volume -> columns and slices. 102 of validation: the first 100 by name, and test.
TRAIN = {"file9": (13, 1), "file10": (16, 3), "file2": (12, 3)}
VAL = {f"file{number}": (12 + number % 3, 1) for number in range(100, 200)}
VAL |= {"file98": (14, 2), "file99": (9, 1)}
BLANK = ("file2", 1)  # a slice of zeros
WITHOUT_MAX = "file10"
EXAMPLES: Mapping[Split, int] = {
    "train": 7,
    "eval_train": 5,
    "validation": 100,
    "test": 3,
}
SIZES = Sizes(
    volumes=(len(TRAIN), len(VAL)),
    slices=(7, 103),
    volume_bytes=ROWS * 16 * 8,
    image_size=SIZE,
)


def arrays(name: str) -> dict[str, np.ndarray]:
    """k-space and images of a volume: random, but the same every time."""
    columns, slices = (TRAIN | VAL)[name]
    random = np.random.default_rng(int(name.removeprefix("file")))
    parts = random.normal(size=(slices, ROWS, columns, 2)).astype(np.float32)
    kspace = parts.view(np.complex64)[..., 0]
    targets = random.uniform(0, 2, (slices, SIZE, SIZE)).astype(np.float32)
    if name == BLANK[0]:
        kspace[BLANK[1]] = targets[BLANK[1]] = 0
    return {"kspace": kspace, "reconstruction_esc": targets}


def maximum(name: str) -> float:
    """The attribute `max` of a volume; 0 where it has none."""
    if name == WITHOUT_MAX:
        return 0.0
    return float(arrays(name)["reconstruction_esc"].max())


def in_order(split: str) -> list[tuple[str, int]]:
    """The slices of a split: names of volumes as text, then slices."""
    volumes = TRAIN if split in ("train", "eval_train") else VAL
    names = sorted(volumes)
    if split == "validation":
        names = names[:100]
    elif split == "test":
        names = names[100:]
    return [(name, index) for name in names for index in range(volumes[name][1])]


def write_volume(path: Path, name: str, **changes) -> None:
    """A volume as fastMRI has it, also with what is not read."""
    content = arrays(name)
    content["reconstruction_rss"] = content["reconstruction_esc"]
    with h5py.File(path, "w") as file:
        for key, array in (content | changes).items():
            if array is not None:
                file[key] = array
        file["ismrmrd_header"] = "<xml/>"
        file.attrs["norm"] = 1.0
        if name != WITHOUT_MAX:
            file.attrs["max"] = maximum(name)


def write(folder: Path, named: str = "singlecoil_{}") -> Path:
    """The data set as the official archives unpack; returns `folder`."""
    for split, volumes in (("train", TRAIN), ("val", VAL)):
        place = folder / named.format(split)
        place.mkdir(parents=True)
        for name in volumes:
            write_volume(place / f"{name}.h5", name)
    (place / "._file98.h5").write_bytes(b"of another system")
    return folder


def make_records(official: Path, data: Path) -> Path:
    """Prepares the data set; returns its folder."""
    prepare(preparation(SIZES), official, data, lambda line: None)
    return data / "fastmri"


def source(folder: Path, threads: int = 2) -> KneeSlices:
    """The data set's batches."""
    return KneeSlices(folder, EXAMPLES, DataOptions(threads=threads), SIZE)
