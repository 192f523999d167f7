"""Which data sets can be prepared, by the name of their folder."""

from importlib import import_module

from algoperf.facts import UserError, closest
from algoperf.prepare.plan import Preparation
from workloads.catalog import CATALOG

# Folder below --data_dir -> the module with `preparation()`.
_HOME = {
    "cifar10": "workloads.cifar.prepare",
    "criteo1tb": "workloads.criteo.prepare",
    "fastmri": "workloads.fastmri.prepare",
    "fineweb_edu_10B": "workloads.fineweb.prepare",
    "imagenet": "workloads.imagenet.prepare",
    "librispeech": "workloads.librispeech.prepare",
    "mnist": "workloads.mnist.prepare",
    "ogbg": "workloads.ogbg.prepare",
    "wmt": "workloads.wmt.prepare",
}


def preparation_of(name: str) -> Preparation:
    """The preparation of a workload's data, or of a data set by its folder's name.

    Raises:
      UserError: there is no such workload, or nothing to prepare for it.
    """
    facts = CATALOG.get(name)
    folder = facts.data.folder if facts else name
    if folder in _HOME:
        return import_module(_HOME[folder]).preparation()
    if facts and not facts.data.alternatives:
        raise UserError(
            f"there is nothing to prepare for {name}: its data is bundled "
            f"({facts.data.summary})."
        )
    if facts:
        raise UserError(
            f"{name} has no preparation. To get its data: {facts.data.how_to_get}."
        )
    known = dict.fromkeys([*CATALOG, *_HOME])
    raise UserError(
        f"no workload {name!r}; {closest(name, known)}`algoperf list` describes them. "
        f"Data sets that can be prepared: {', '.join(_HOME)}."
    )
