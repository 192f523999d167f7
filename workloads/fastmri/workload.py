"""fastmri and its variants; small ones of generated phantoms."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.data import DataSource
from algoperf.data_options import DataOptions
from algoperf.eval_cache import EvalCache
from algoperf.facts import Facts
from algoperf.random_data import Drawn, RandomSource
from algoperf.workload import Workload, first_of_two
from workloads.fastmri import phantoms
from workloads.fastmri.data import KneeSlices, slices_in_memory
from workloads.fastmri.files import IMAGE_SIZE
from workloads.fastmri.kspace import prepare_slices
from workloads.fastmri.reconstruction import RECONSTRUCTION, mean_absolute_error
from workloads.fastmri.unet import UNet, feed_unet

KSPACE = (640, 372)  # rows, and the most frequent number of columns
MINI_SEED = 2018  # of the generated phantoms


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """The U-Net, a variant of it, or a small one."""
    size = IMAGE_SIZE if facts.scale == "full" else phantoms.SIZE
    image = jax.ShapeDtypeStruct((1, size, size), jnp.float32)
    number = jax.ShapeDtypeStruct((1,), jnp.float32)
    return Workload(
        facts=facts,
        model=UNet(**facts.model),
        example_batch={
            "inputs": image,
            "targets": image,
            "mean": number,
            "std": number,
            "volume_max": number,
        },
        forward=feed_unet,
        loss=mean_absolute_error,
        metrics=RECONSTRUCTION,
        data=_source(facts, folder, options),
        finish=prepare_slices,
        init_key=first_of_two,
        output_params=("Conv_0",),
    )


def random_slices(
    size: int = IMAGE_SIZE, kspace: tuple[int, int] = KSPACE
) -> RandomSource:
    """Noise in place of slices, as `KneeSlices` delivers them."""
    _, columns = kspace
    return RandomSource(
        {
            "kspace": Drawn(kspace, np.complex64),
            "num_columns": Drawn((), np.int32, columns + 1),
            "keep": Drawn((columns,), np.bool_),
            "targets": Drawn((size, size), np.float32),
            "volume_max": Drawn((), np.float32),
        }
    )


def _source(facts: Facts, folder: Path | None, options: DataOptions) -> DataSource:
    if options.random:
        return random_slices()
    if folder is None:
        load = functools.partial(phantoms.phantoms, facts.examples, MINI_SEED)
        return slices_in_memory(load, facts.examples["eval_train"])
    source = KneeSlices(folder, facts.examples, options, IMAGE_SIZE)
    return EvalCache(source, options.eval_cache_bytes)
