"""A click as a row of 40 numbers, and rows as the features of the models."""

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.random_data import Drawn
from algoperf.spec import Batch
from workloads.criteo.dlrm import NUM_CATEGORIES, NUM_COUNTS
from workloads.criteo.hashing import VOCABULARY_SIZES

# A row is the label, 13 counts and 26 category ids, all uint32: files, and batches on
# their way to the devices, hold these.
NUM_COLUMNS = 1 + NUM_COUNTS + NUM_CATEGORIES
DTYPE = np.dtype("<u4")
ROW_BYTES = NUM_COLUMNS * DTYPE.itemsize

_COMMON_COUNTS = 100  # most counts of the real logs are below
RANDOM_ROW = Drawn(
    (NUM_COLUMNS,), DTYPE, (2, *[_COMMON_COUNTS] * NUM_COUNTS, *VOCABULARY_SIZES)
)


def features(batch: Batch) -> Batch:
    """`rows` uint32 [batch, 40] to `inputs` float32 [batch, 39] and `targets` [batch].

    Counts x become log(x + 1). Ids become float32, by which those above 2^24 are
    rounded to even neighbours: AlgoPerf does so, and its targets are for these.
    `weights` stay as they are.
    """
    rows = batch["rows"]
    numbers = rows.astype(jnp.float32)
    targets, counts, ids = jnp.split(numbers, [1, 1 + NUM_COUNTS], axis=1)
    finished = {name: batch[name] for name in batch if name != "rows"}
    finished["inputs"] = jnp.concatenate([jnp.log(counts + 1), ids], axis=1)
    finished["targets"] = targets[:, 0]
    return finished


def example_batch() -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a batch of one, after `features`."""
    return {
        "inputs": jax.ShapeDtypeStruct((1, NUM_COLUMNS - 1), jnp.float32),
        "targets": jax.ShapeDtypeStruct((1,), jnp.float32),
    }
