"""Builds a workload by name; imports only its own folder."""

import sys
from importlib import import_module
from pathlib import Path

from algoperf.data_options import DataOptions
from algoperf.facts import Facts
from algoperf.workload import Workload
from workloads import catalog
from workloads.files import require

# Base workload -> the function that builds it and its variants.
_BUILDER = {
    "digits": "digits.workload:build",
    "mnist": "mnist.workload:build",
    "mnist_mini": "mnist.workload:build",
    "cifar": "cifar.workload:build",
    "cifar_mini": "cifar.workload:build",
    "imagenet_resnet": "imagenet.workload:build_resnet",
    "imagenet_resnet_mini": "imagenet.workload:build_resnet",
    "imagenet_vit": "imagenet.workload:build_vit",
    "imagenet_vit_mini": "imagenet.workload:build_vit",
    "criteo1tb": "criteo.workload:build",
    "criteo1tb_mini": "criteo.workload:build",
    "fastmri": "fastmri.workload:build",
    "fastmri_mini": "fastmri.workload:build",
    "librispeech_conformer": "librispeech.workload:build_conformer",
    "librispeech_conformer_mini": "librispeech.workload:build_conformer",
    "librispeech_deepspeech": "librispeech.workload:build_deepspeech",
    "librispeech_deepspeech_mini": "librispeech.workload:build_deepspeech",
    "ogbg": "ogbg.workload:build",
    "ogbg_mini": "ogbg.workload:build",
    "wmt": "wmt.workload:build",
    "wmt_mini": "wmt.workload:build",
    "finewebedu_lm": "fineweb.workload:build",
    "finewebedu_lm_mini": "fineweb.workload:build",
}


def load(
    name: str, data_dir: Path | None = None, options: DataOptions | None = None
) -> Workload:
    """The workload called `name`.

    Raises:
      UserError: no such workload, its data is not below `data_dir`, or random data is
        asked for where real data comes with the package.
    """
    facts = catalog.get(name)
    options = options or DataOptions()
    return build(facts, require(facts, data_dir, options.random), options)


def without_data(name: str) -> Workload:
    """A full workload for shapes and types alone: its data need not be there."""
    return load(name, options=DataOptions(random=True))


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """The workload of these facts, which need not be the catalog's.

    `folder` has the data set; None for what is bundled or generated.
    """
    sys.audit("algoperf.load_workload", facts.name)  # for algoperf/audit.py
    module, function = _BUILDER[facts.base].split(":")
    builder = getattr(import_module(f"workloads.{module}"), function)
    return builder(facts, folder, options)
