"""fastMRI's batches: slices read by threads, with the columns that are measured."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from algoperf.data import (
    EVAL_TRAIN_SEED,
    ArraySource,
    Batches,
    IndexedBatches,
    Origin,
    endless_rows,
    pad,
    permutation,
)
from algoperf.data_options import DataOptions
from algoperf.facts import Split, UserError
from algoperf.read_ahead import Plan, ReadAhead
from workloads.fastmri.files import SliceFiles
from workloads.fastmri.masks import EVAL_SEED, column_masks

Arrays = dict[str, np.ndarray]


class KneeSlices:
    """What `prepare_slices` makes images of.

    `kspace` complex64 [batch, row, column], filled up with columns of 0 to the widest
    slice of the split; `num_columns` int32 [batch], `keep` bool [batch, column],
    `targets` float32 [batch, size, size], `volume_max` float32 [batch].
    """

    def __init__(
        self,
        folder: Path,
        examples: Mapping[Split, int],
        options: DataOptions,
        size: int,
    ):
        self._folder = folder
        self._examples = examples
        self._options = options
        self._size = size
        self._files: dict[str, SliceFiles] = {}

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        files = self._open("train" if split == "eval_train" else split)
        if split == "train":
            rows_of = endless_rows(len(files), batch_size, seed)

            def train_plan(index: int) -> Plan:
                epochs, rows = rows_of(index)
                return self._plan(files, rows, mask_seeds(seed, epochs, rows))

            return ReadAhead(train_plan, self._options.threads, position)
        rows = np.arange(len(files))
        if split == "eval_train":
            rows = permutation(len(files), EVAL_TRAIN_SEED, 0)
        rows = rows[: self._examples[split]]
        length = -(-len(rows) // batch_size)

        def eval_plan(index: int) -> Plan:
            part = rows[index * batch_size : (index + 1) * batch_size]
            return self._plan(files, part, eval_mask_seeds(split, part))

        ahead = ReadAhead(eval_plan, self._options.threads, position, length)
        return IndexedBatches(lambda _: pad(next(ahead), batch_size), position, length)

    def _plan(self, files: SliceFiles, rows: np.ndarray, seeds: np.ndarray) -> Plan:
        width = int(files.num_columns.max())
        columns = files.num_columns[rows]
        kspace = np.zeros((len(rows), files.rows, width), np.complex64)
        targets = np.empty((len(rows), self._size, self._size), np.float32)

        def fill(place: int) -> None:
            found = files[int(rows[place])]
            kspace[place, :, : columns[place]] = found.kspace
            targets[place] = found.target

        batch = {
            "kspace": kspace,
            "num_columns": columns,
            "keep": column_masks(columns, seeds, width),
            "targets": targets,
            "volume_max": files.volume_max[rows],
        }
        return Plan(batch, len(rows), fill)

    def _open(self, split: Split) -> SliceFiles:
        if split not in self._files:
            files = SliceFiles(self._folder, split, self._size)
            wanted = self._examples[split]
            if len(files) != wanted:
                raise UserError(
                    f"{self._folder} has {len(files):,} slices in {split}, and should "
                    f"have {wanted:,}; files are missing, or there are others. Unpack "
                    "or prepare it again."
                )
            self._files[split] = files
        return self._files[split]


def slices_in_memory(
    load: Callable[[], Mapping[str, Arrays]], num_eval_train: int
) -> ArraySource:
    """The same batches of slices that are there as arrays.

    `load` returns those of `phantoms`, per split.
    """

    def seeded() -> dict[str, Arrays]:
        return {
            split: arrays | {"mask_seeds": eval_mask_seeds(split, _numbers(arrays))}
            for split, arrays in load().items()
        }

    def seed_anew(raw: Arrays, origin: Origin) -> Arrays:
        seeds = mask_seeds(origin.seed, origin.epochs, origin.rows)
        return raw | {"mask_seeds": seeds}

    return ArraySource(seeded, num_eval_train, _with_masks, seed_anew)


def _numbers(arrays: Arrays) -> np.ndarray:
    return np.arange(len(arrays["targets"]))


def _with_masks(raw: Arrays) -> Arrays:
    seeds, width = raw.pop("mask_seeds"), raw["kspace"].shape[2]
    return raw | {"keep": column_masks(raw["num_columns"], seeds, width)}


def mask_seeds(seed: int, epochs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Seeds of `column_masks` [slice, 2]: another mask for a slice in every epoch."""
    # 64 bits in all: of a seed, and of the numbers of an epoch and a slice.
    seeds = np.empty((len(rows), 2), np.uint64)
    seeds[:, 0] = seed
    seeds[:, 1] = epochs.astype(np.uint64) << np.uint64(32) | rows.astype(np.uint64)
    return seeds


def eval_mask_seeds(split: str, rows: np.ndarray) -> np.ndarray:
    """The same for evaluations, where a slice has one mask in all runs.

    That of validation and test is AlgoPerf's; it depends on the width alone.
    """
    if split in ("train", "eval_train"):
        return mask_seeds(EVAL_TRAIN_SEED, np.zeros_like(rows), rows)
    return np.tile(np.array(EVAL_SEED, np.uint64), (len(rows), 1))
