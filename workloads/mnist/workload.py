"""mnist, AlgoPerf's development workload, and mnist_mini on a bundled subset."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp

from algoperf import losses
from algoperf.data import ArraySource
from algoperf.facts import Facts
from algoperf.metrics import CLASSIFICATION
from algoperf.workload import Workload, feed_inputs
from workloads.mnist import data
from workloads.mnist.model import MnistNet


def build(facts: Facts, data_dir: Path | None = None) -> Workload:
    """The workload of these facts; without a folder it is the bundled subset."""
    if data_dir is None:
        load, white = data.load_subset, 255.0
    else:
        load, white = functools.partial(data.load, data_dir), 1.0
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
        data=ArraySource(
            load,
            facts.examples["eval_train"],
            functools.partial(data.normalise, white=white),
        ),
        output_params=("Dense_1",),
    )
