"""The facts of every workload. Standard library only: scoring reads this too."""

from collections.abc import Mapping

from algoperf.facts import Facts, UserError, closest, index
from workloads.cifar import facts as cifar
from workloads.criteo import facts as criteo
from workloads.digits.facts import DIGITS
from workloads.fastmri import facts as fastmri
from workloads.fineweb import facts as fineweb
from workloads.imagenet import facts as imagenet
from workloads.librispeech import facts as librispeech
from workloads.mnist.facts import MNIST, MNIST_MINI
from workloads.ogbg import facts as ogbg
from workloads.wmt import facts as wmt

CATALOG: Mapping[str, Facts] = index(
    (
        DIGITS,
        MNIST_MINI,
        *cifar.MINI,
        *imagenet.MINI,
        *criteo.MINI,
        *fastmri.MINI,
        *librispeech.MINI,
        *ogbg.MINI,
        *wmt.MINI,
        *fineweb.MINI,
        MNIST,
        *cifar.FULL,
        *imagenet.FULL,
        *criteo.FULL,
        *fastmri.FULL,
        *librispeech.FULL,
        *ogbg.FULL,
        *wmt.FULL,
        *fineweb.FULL,
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
