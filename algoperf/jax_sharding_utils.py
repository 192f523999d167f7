"""One mesh, axis `batch`, over all devices: the names submissions import."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

BATCH_AXIS = "batch"


def get_mesh() -> Mesh:
    """The mesh over `jax.devices()` in their default order; equal on every call."""
    return Mesh(np.asarray(jax.devices()), (BATCH_AXIS,))


def get_replicate_sharding() -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(get_mesh(), PartitionSpec())


def get_batch_dim_sharding() -> NamedSharding:
    """The leading dimension is split over the devices."""
    return NamedSharding(get_mesh(), PartitionSpec(BATCH_AXIS))


def replicate(tree: Any) -> Any:
    """Places every array of a tree on all devices."""
    return jax.device_put(tree, get_replicate_sharding())


def commit(tree: Any) -> Any:
    """Replicates the arrays of a tree that were left on the default device.

    A state built from `jnp.zeros` comes back from a step replicated, so the step after
    it would be compiled again. Everything but such arrays is left as it is.
    """
    sharding = get_replicate_sharding()

    def place(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.committed:
            return jax.device_put(leaf, sharding)
        return leaf

    return jax.tree.map(place, tree)


def shard_along_batch_dim(tree: Any) -> Any:
    """Splits every array of a tree over the devices along its leading dimension."""
    return jax.device_put(tree, get_batch_dim_sharding())


def shard_over_hosts(batch: Any) -> Any:
    """Splits a batch that every process has over the devices of all of them.

    Each process places only the rows of its own devices.
    """
    sharding = get_batch_dim_sharding()

    def place(array: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(
            array.shape, sharding, lambda index: array[index]
        )

    return jax.tree.map(place, batch)


def own_rows(batch_size: int) -> range:
    """The rows of a batch that go to devices of this process: all, if it is alone."""
    if jax.process_count() == 1:
        return range(batch_size)
    parts = get_batch_dim_sharding().addressable_devices_indices_map((batch_size,))
    slices = [index[0] for index in parts.values() if index is not None]
    starts, stops, _ = zip(*(s.indices(batch_size) for s in slices), strict=True)
    return range(min(starts), max(stops))


def display_shard_info(array: jax.Array) -> None:
    """Prints shape and sharding of one array, for people who look into a batch."""
    shards = [(shard.device, shard.data.shape) for shard in array.addressable_shards]
    print(f"shape {array.shape}, {array.sharding}: {shards}")
