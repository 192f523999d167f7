"""imagenet_resnet, imagenet_vit and their variants; small ones of generated images."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from algoperf import losses
from algoperf.data import DataSource
from algoperf.data_options import DataOptions
from algoperf.eval_cache import EvalCache
from algoperf.facts import Facts
from algoperf.metrics import CLASSIFICATION
from algoperf.random_data import Drawn, RandomSource
from algoperf.spec import Batch
from algoperf.workload import Forward, Workload, first_of_two, itself
from workloads.imagenet import mixup
from workloads.imagenet.data import ImageNet
from workloads.imagenet.images import IMAGE_SIZE
from workloads.imagenet.resnet import ResNet, feed_resnet
from workloads.imagenet.scenes import SIDE, Scene, scenes
from workloads.imagenet.small_images import small_images
from workloads.imagenet.vit import ViT, feed_vit

NUM_CLASSES = 1000
MINI_SEED = 2012  # of the generated images
# A transformer learns from so few images what moves little and keeps its contrast.
RESNET_SCENE = Scene()
VIT_SCENE = Scene(turn=0.6, spread=0.1, clutter=1, bright=True)


def build_resnet(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """ResNet-50, a variant of it, or a small one."""
    model = ResNet(**facts.model)
    data = _source(facts, folder, options, RESNET_SCENE)
    return image_workload(facts, model, feed_resnet, data, output="Dense_0")


def build_vit(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """ViT-S/16, a variant of it, or a small one."""
    model = ViT(**facts.model)
    data = _source(facts, folder, options, VIT_SCENE, mixes=True)
    finish = functools.partial(mix_images, num_classes=model.num_classes)
    return image_workload(
        facts,
        model,
        feed_vit,
        data,
        output="head",
        finish=finish,
        init_key=first_of_two,
    )


def normalise_images(
    batch: Batch,
    mean: tuple[float, ...] = mixup.MEAN,
    stddev: tuple[float, ...] = mixup.STDDEV,
) -> Batch:
    """The batch with pixels as float32, of mean 0 and deviation 1 over the data set."""
    return {**batch, "inputs": mixup.normalise(batch["inputs"], mean, stddev)}


def mix_images(batch: Batch, num_classes: int) -> Batch:
    """The same, and mixed up if the batch brings a key, as training batches do."""
    rest = {name: leaf for name, leaf in batch.items() if name != "mixup_key"}
    rest = normalise_images(rest)
    if "mixup_key" not in batch:
        return rest
    key = jax.random.wrap_key_data(batch["mixup_key"][0], impl="threefry2x32")
    inputs, targets = mixup.mixup(rest["inputs"], rest["targets"], key, num_classes)
    return {**rest, "inputs": inputs, "targets": targets}


def image_workload(
    facts: Facts,
    model: nn.Module,
    forward: Forward,
    data: DataSource,
    output: str,
    finish: Callable[[Batch], Batch] | None = None,
    side: int | None = None,
    mean: tuple[float, ...] = mixup.MEAN,
    stddev: tuple[float, ...] = mixup.STDDEV,
    init_key: Callable[[jax.Array], jax.Array] = itself,
) -> Workload:
    """A workload that classifies images, uint8 from the data source.

    Without `finish` pixels are normalised by `mean` and `stddev`.
    """
    side = side or (IMAGE_SIZE if facts.scale == "full" else SIDE)
    return Workload(
        facts=facts,
        model=model,
        example_batch={
            "inputs": jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32),
            "targets": jax.ShapeDtypeStruct((1,), jnp.int32),
        },
        forward=forward,
        loss=losses.softmax_cross_entropy,
        metrics=CLASSIFICATION,
        data=data,
        finish=finish or functools.partial(normalise_images, mean=mean, stddev=stddev),
        output_params=(output,),
        init_key=init_key,
        train_mean=mean,
        train_stddev=stddev,
    )


def random_images(side: int, num_classes: int, mixes: bool = False) -> RandomSource:
    """Noise with labels, as a data source of such images delivers it."""
    example = {
        "inputs": Drawn((side, side, 3), np.uint8, 256),
        "targets": Drawn((), np.int32, num_classes),
    }
    keyed = example | {"mixup_key": Drawn((2,), np.uint32, 2**32)}
    return RandomSource(example, train=keyed if mixes else None)


def _source(
    facts: Facts,
    folder: Path | None,
    options: DataOptions,
    scene: Scene,
    mixes: bool = False,
) -> DataSource:
    if options.random:
        return random_images(IMAGE_SIZE, NUM_CLASSES, mixes)
    if folder is None:
        load = functools.partial(scenes, facts.examples, MINI_SEED, scene)
        return small_images(load, facts.examples, mixes)
    source = ImageNet(folder, facts.examples, options, mixes)
    return EvalCache(source, options.eval_cache_bytes)
