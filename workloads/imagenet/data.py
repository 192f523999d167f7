"""ImageNet's batches: decoded and augmented by threads on the host."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from algoperf.data import Batches, Origin
from algoperf.data_options import DataOptions
from algoperf.facts import Split, UserError
from algoperf.read_ahead import Damaged, Plan, decoded_batches
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
        self._damaged = Damaged("image", "replaced by a black one", options.strict)

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        files = self._open("train" if split == "eval_train" else split)

        def plan(rows: np.ndarray, origin: Origin | None) -> Plan:
            if origin is None:
                return self._plan(files, rows, self._eval_image)
            return self._train_plan(files, origin)

        return decoded_batches(
            split,
            batch_size,
            seed,
            position,
            size=len(files),
            num_examples=self._examples[split],
            plan=plan,
            threads=self._options.threads,
        )

    def _train_plan(self, files: ImageFiles, origin: Origin) -> Plan:
        seed, index, epochs, rows = origin

        def image(encoded: EncodedImage, place: int) -> np.ndarray:
            return train_image(
                encoded.data,
                encoded.name,
                seed=seed,
                epoch=int(epochs[place]),
                example=int(rows[place]),
                size=self._size,
                with_randaugment=self._mixes,
                strict=self._options.strict,
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
                self._damaged.note(error.name, error)
                images[place] = 0

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
