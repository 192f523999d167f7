"""ImageNet's batches: decoded and augmented by threads on the host."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from algoperf.data import (
    EVAL_TRAIN_SEED,
    Batches,
    IndexedBatches,
    endless_rows,
    pad,
    permutation,
)
from algoperf.data_options import DataOptions
from algoperf.facts import Split, UserError
from algoperf.read_ahead import Plan, ReadAhead
from workloads.imagenet.files import EncodedImage, ImageFiles
from workloads.imagenet.images import IMAGE_SIZE, eval_image, train_image
from workloads.imagenet.jpeg import CorruptImage
from workloads.imagenet.random_draws import batch_key


class ImageNet:
    """Images uint8 [batch, size, size, 3] and labels int32 [batch].

    Training images are cropped at random and mirrored; with `mixes`, as ViT has it,
    RandAugment changes them too and each batch brings the key of its mixup. A damaged
    image is replaced by a black one and named on the screen, or with
    `options.strict` ends the run.
    """

    def __init__(
        self,
        folder: Path,
        examples: Mapping[Split, int],
        options: DataOptions,
        mixes: bool = False,
        size: int = IMAGE_SIZE,
    ):
        self._folder = folder
        self._examples = examples
        self._options = options
        self._mixes = mixes
        self._size = size
        self._files: dict[str, ImageFiles] = {}
        self._damaged: set[str] = set()
        self._lock = threading.Lock()

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        files = self._open("train" if split == "eval_train" else split)
        if split == "train":
            rows_of = endless_rows(len(files), batch_size, seed)

            def train_plan(index: int) -> Plan:
                return self._train_plan(files, *rows_of(index), seed, index)

            return ReadAhead(train_plan, self._options.threads, position)
        rows = np.arange(len(files))
        if split == "eval_train":
            rows = permutation(len(files), EVAL_TRAIN_SEED, 0)
        rows = rows[: self._examples[split]]
        length = -(-len(rows) // batch_size)

        def eval_plan(index: int) -> Plan:
            part = rows[index * batch_size : (index + 1) * batch_size]
            return self._plan(files, part, self._eval_image)

        ahead = ReadAhead(eval_plan, self._options.threads, position, length)
        return IndexedBatches(lambda _: pad(next(ahead), batch_size), position, length)

    def _train_plan(
        self,
        files: ImageFiles,
        epochs: np.ndarray,
        rows: np.ndarray,
        seed: int,
        index: int,
    ) -> Plan:
        def image(encoded: EncodedImage, place: int) -> np.ndarray:
            return train_image(
                encoded.data,
                encoded.name,
                seed=seed,
                epoch=int(epochs[place]),
                example=int(rows[place]),
                size=self._size,
                with_randaugment=self._mixes,
            )

        plan = self._plan(files, rows, image)
        if not self._mixes:
            return plan
        keys = np.tile(batch_key(seed, index), (len(rows), 1))
        return plan._replace(batch={**plan.batch, "mixup_key": keys})

    def _eval_image(self, encoded: EncodedImage, place: int) -> np.ndarray:
        del place
        return eval_image(encoded.data, encoded.name, self._size)

    def _plan(
        self,
        files: ImageFiles,
        rows: np.ndarray,
        image: Callable[[EncodedImage, int], np.ndarray],
    ) -> Plan:
        """Images of some rows, each made by `image(encoded, place in the batch)`."""
        images = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        labels = np.empty(len(rows), np.int32)

        def fill(place: int) -> None:
            encoded = files[int(rows[place])]
            labels[place] = encoded.label
            try:
                images[place] = image(encoded, place)
            except CorruptImage as error:
                images[place] = self._replacement(error)

        return Plan({"inputs": images, "targets": labels}, len(rows), fill)

    def _open(self, split: str) -> ImageFiles:
        if split not in self._files:
            files = ImageFiles(self._folder, split)
            wanted = self._examples[split]  # type: ignore[index]
            if len(files) != wanted:
                raise UserError(
                    f"{self._folder} has {len(files):,} images in {split}, and should "
                    f"have {wanted:,}; prepare it again."
                )
            self._files[split] = files
        return self._files[split]

    def _replacement(self, error: CorruptImage) -> int:
        """Black, for an image that is damaged; each is named once."""
        if self._options.strict:
            raise error
        with self._lock:
            if error.name not in self._damaged:
                self._damaged.add(error.name)
                logging.getLogger("algoperf").warning(
                    "%s (damaged image %d, replaced by a black one)",
                    error,
                    len(self._damaged),
                )
        return 0
