"""Images that fit in memory: CIFAR's, and those of the mini workloads."""

import functools
from collections.abc import Callable, Mapping

import numpy as np

from algoperf.data import ArraySource, Origin
from algoperf.facts import Split
from workloads.imagenet.crops import pad_crop_flip
from workloads.imagenet.random_draws import batch_key, epoch_draws

Arrays = dict[str, np.ndarray]


def small_images(
    load: Callable[[], Mapping[str, Arrays]],
    examples: Mapping[Split, int],
    mixes: bool = False,
) -> ArraySource:
    """Batches of `inputs` uint8 [batch, side, side, 3] and `targets` int32 [batch].

    Training images are moved by up to two pixels and mirrored every other time. With
    `mixes` a batch brings the key of its mixup.
    """
    draws = functools.lru_cache(maxsize=2)(
        lambda seed, epoch: epoch_draws(seed, epoch, examples["train"])
    )

    def augment(raw: Arrays, origin: Origin) -> Arrays:
        words = np.empty(len(origin.rows), np.uint64)
        for epoch in np.unique(origin.epochs):
            own = origin.epochs == epoch
            words[own] = draws(origin.seed, int(epoch))[origin.rows[own]]
        batch = raw | {"inputs": pad_crop_flip(raw["inputs"], words)}
        if mixes:
            key = batch_key(origin.seed, origin.index)
            batch["mixup_key"] = np.tile(key, (len(words), 1))
        return batch

    return ArraySource(load, examples["eval_train"], _with_int_labels, augment)


def _with_int_labels(raw: Arrays) -> Arrays:
    return raw | {"targets": raw["targets"].astype(np.int32)}
