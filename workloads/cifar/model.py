"""AlgoPerf's CIFAR-10 net: ResNet-18 with a stem for small images."""

from typing import Any

from workloads.imagenet.resnet import ResNet


def cifar_resnet(**fields: Any) -> ResNet:
    """ResNet-18 of basic blocks for 32x32 images; 11,173,962 parameters.

    Args:
      fields: what a variant has otherwise, as fields of `ResNet`.
    """
    base = {
        "stage_sizes": (2, 2, 2, 2),
        "num_classes": 10,
        "block": "basic",
        "stem": "cifar",
    }
    return ResNet(**base | fields)
