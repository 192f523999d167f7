"""The facts of every workload. Standard library only: scoring reads this too."""

from collections.abc import Mapping

from algoperf.facts import Facts, UserError, closest, index
from workloads.cifar import facts as cifar
from workloads.digits.facts import DIGITS
from workloads.imagenet import facts as imagenet
from workloads.mnist.facts import MNIST, MNIST_MINI

CATALOG: Mapping[str, Facts] = index(
    (
        DIGITS,
        MNIST_MINI,
        *cifar.MINI,
        *imagenet.MINI,
        MNIST,
        *cifar.FULL,
        *imagenet.FULL,
    )
)


def get(name: str) -> Facts:
    """The facts of a workload; the error lists the closest names."""
    if name in CATALOG:
        return CATALOG[name]
    raise UserError(
        f"no workload {name!r}; {closest(name, CATALOG)}All: "
        f"{', '.join(sorted(CATALOG))}. `algoperf list` describes them."
    )
