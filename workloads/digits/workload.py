"""digits: the tutorial workload, real 8x8 images that come with the package."""

import importlib.resources
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf import losses
from algoperf.data import ArraySource, permutation
from algoperf.data_options import DataOptions
from algoperf.facts import Facts, Split
from algoperf.metrics import CLASSIFICATION
from algoperf.spec import Batch
from algoperf.workload import ForwardOptions, Workload
from workloads.digits.model import DigitsNet

# scikit-learn lists the images writer by writer: splits are drawn at random, once.
SPLIT_SEED = 1797
LARGEST_PIXEL = 16


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """The workload of these facts; its data is bundled."""
    del folder, options
    return Workload(
        facts=facts,
        model=DigitsNet(**facts.model),
        example_batch={
            "inputs": jax.ShapeDtypeStruct((1, 8, 8, 1), jnp.float32),
            "targets": jax.ShapeDtypeStruct((1,), jnp.int32),
        },
        forward=feed_images,
        loss=losses.softmax_cross_entropy,
        metrics=CLASSIFICATION,
        data=ArraySource(
            lambda: load_digits(facts.examples),
            facts.examples["eval_train"],
            normalise,
        ),
        output_params=("output",),
    )


def feed_images(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """Images, with dropout in training."""
    return apply(
        batch["inputs"], train=options.train, dropout_rate=options.dropout_rate
    )


def load_digits(
    examples: Mapping[Split, int],
) -> dict[str, dict[str, np.ndarray]]:
    """The 1,797 images in disjoint train, validation and test sets."""
    file = importlib.resources.files("workloads.digits") / "digits.npz"
    with file.open("rb") as stream, np.load(stream) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    order = permutation(len(images), SPLIT_SEED, 0)
    parts: tuple[Split, ...] = ("train", "validation", "test")
    splits, start = {}, 0
    for split in parts:
        rows = order[start : start + examples[split]]
        splits[split] = {"inputs": images[rows], "targets": labels[rows]}
        start += examples[split]
    return splits


def normalise(raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pixels 0 ... 16 to [0, 1], as [batch, 8, 8, 1]."""
    return {
        "inputs": raw["inputs"][..., None].astype(np.float32) / LARGEST_PIXEL,
        "targets": raw["targets"].astype(np.int32),
    }
