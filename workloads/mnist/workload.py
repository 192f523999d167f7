"""mnist, AlgoPerf's development workload, and mnist_mini on a bundled subset."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from algoperf import losses
from algoperf.data import ArraySource, DataSource
from algoperf.data_options import DataOptions
from algoperf.facts import Facts
from algoperf.metrics import CLASSIFICATION
from algoperf.random_data import Drawn, RandomSource
from algoperf.workload import Workload, feed_inputs
from workloads.mnist import data
from workloads.mnist.model import MnistNet


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """The workload of these facts; without a folder it is the bundled subset."""
    return Workload(
        facts=facts,
        model=MnistNet(**facts.model),
        example_batch={
            "inputs": jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.float32),
            "targets": jax.ShapeDtypeStruct((1,), jnp.int32),
        },
        forward=feed_inputs,
        loss=losses.softmax_cross_entropy,
        metrics=CLASSIFICATION,
        data=_source(facts, folder, options),
        output_params=("Dense_1",),
        train_mean=data.MEAN,
        train_stddev=data.STDDEV,
    )


def _source(facts: Facts, folder: Path | None, options: DataOptions) -> DataSource:
    if options.random:
        image, label = Drawn((28, 28, 1), np.float32), Drawn((), np.int32, 10)
        return RandomSource({"inputs": image, "targets": label})
    if folder is None:
        load, white = data.load_subset, 255.0
    else:
        load, white = functools.partial(data.load, folder), 1.0
    normalise = functools.partial(data.normalise, white=white)
    return ArraySource(load, facts.examples["eval_train"], normalise)
