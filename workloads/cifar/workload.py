"""cifar, AlgoPerf's development workload, and a small one of generated images."""

import functools
from pathlib import Path

from algoperf.data_options import DataOptions
from algoperf.facts import Facts
from algoperf.workload import Workload
from workloads.cifar import data
from workloads.cifar.model import cifar_resnet
from workloads.imagenet.resnet import feed_resnet
from workloads.imagenet.scenes import SIDE, Scene, scenes
from workloads.imagenet.small_images import small_images
from workloads.imagenet.workload import image_workload, random_images

# Of red, green and blue in 0 ... 255, over the training images.
MEAN = (0.49139968 * 255, 0.48215827 * 255, 0.44653124 * 255)
STDDEV = (0.24703233 * 255, 0.24348505 * 255, 0.26158768 * 255)
MINI_SEED = 10
# With five shapes: ten classes. Bright and upright, for a net so small.
MINI_SCENE = Scene(("stripes", "dots"), turn=0.6, spread=0.1, clutter=1, bright=True)


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """ResNet-18 on CIFAR-10, or a smaller one on generated images of the same size."""
    model = cifar_resnet(**facts.model)
    if options.random:
        source = random_images(SIDE, model.num_classes)
    elif folder is None:
        load = functools.partial(scenes, facts.examples, MINI_SEED, MINI_SCENE)
        source = small_images(load, facts.examples)
    else:
        source = small_images(functools.partial(data.load, folder), facts.examples)
    return image_workload(
        facts,
        model,
        feed_resnet,
        source,
        output="Dense_0",
        side=SIDE,
        mean=MEAN,
        stddev=STDDEV,
    )
