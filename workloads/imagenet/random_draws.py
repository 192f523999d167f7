"""Random numbers of one example: a pure function of (seed, epoch, example)."""

import numpy as np

# `algoperf.data.permutation` takes the stream 0 of the same key.
_AUGMENTATION_STREAM = 1
_BATCHED_AUGMENTATION_STREAM = 2
_BATCH_STREAM = 3


def example_draws(seed: int, epoch: int, example: int, count: int) -> list[int]:
    """`count` independent 64-bit draws, whatever the thread and the batch.

    Raw Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with
    key (seed, epoch) and the example's number in the counter: no state is shared, and
    NumPy promises the raw stream to stay the same between versions.
    """
    counter = [0, example, 0, _AUGMENTATION_STREAM]
    return _philox([seed, epoch], counter).random_raw(count).tolist()


def epoch_draws(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """One 64-bit draw for every example of an epoch, uint64 [num_examples].

    For small images, where a generator for each example costs more than the image.
    """
    counter = [0, 0, 0, _BATCHED_AUGMENTATION_STREAM]
    return _philox([seed, epoch], counter).random_raw(num_examples)


def batch_key(seed: int, batch: int) -> np.ndarray:
    """The key of a training batch, as JAX's Threefry takes it: uint32 [2]."""
    draw = _philox([seed, batch], [0, 0, 0, _BATCH_STREAM]).random_raw()
    return np.array([draw >> 32, draw & 0xFFFFFFFF], np.uint32)


def unit(draw: int) -> float:
    """A 64-bit draw as a number in [0, 1), a multiple of 2^-53."""
    return (draw >> 11) * 2.0**-53


def below(draw: int, limit: int) -> int:
    """A 64-bit draw as an integer in [0, limit), biased by less than limit / 2^64."""
    return draw * limit >> 64


def _philox(key: list[int], counter: list[int]) -> np.random.Philox:
    return np.random.Philox(
        key=np.array(key, np.uint64), counter=np.array(counter, np.uint64)
    )
