"""AlgoPerf's padding of a batch, for submissions that select data themselves."""

from typing import Any

import jax
import numpy as np


def shard_and_maybe_pad_np(
    batch: dict[str, Any],
    padding_value: float = 0.0,
    global_batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """A batch as numpy arrays, padded so that it divides over the devices.

    Padded up to `global_batch_size`, or without one to a multiple of the device count.
    Only then `weights` is added: 1 for real examples, the padding value for others; of
    the targets' shape if that has fewer than 3 dimensions, else one an example.

    Args:
      batch: arrays with the examples along the leading dimension.
    """
    arrays = jax.tree.map(np.asarray, dict(batch))
    size = len(jax.tree.leaves(arrays["inputs"])[0])
    devices = jax.local_device_count()
    wanted = global_batch_size or -(-size // devices) * devices
    if size == wanted:
        return arrays
    if size > wanted:
        raise ValueError(
            f"a batch of {size} examples does not fit global_batch_size={wanted}"
        )
    targets = jax.tree.leaves(arrays["targets"])[0]
    if arrays.get("weights") is None:
        shape = targets.shape if targets.ndim < 3 else targets.shape[:1]
        arrays["weights"] = np.ones(shape, np.float32)

    def padded(leaf: np.ndarray) -> np.ndarray:
        width = [(0, wanted - size), *[(0, 0)] * (leaf.ndim - 1)]
        return np.pad(leaf, width, constant_values=padding_value)

    return jax.tree.map(padded, arrays)
