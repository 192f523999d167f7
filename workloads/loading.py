"""Builds a workload by name; imports only its own folder."""

from importlib import import_module
from pathlib import Path

from algoperf.workload import Workload
from workloads import catalog
from workloads.files import require

# Base workload -> the folder that builds it and its variants.
_HOME = {"digits": "digits", "mnist": "mnist", "mnist_mini": "mnist"}


def load(name: str, data_dir: Path | None = None) -> Workload:
    """The workload called `name`.

    Raises:
      UserError: no such workload, or its data is not below `data_dir`.
    """
    facts = catalog.get(name)
    folder = require(facts, data_dir)
    module = import_module(f"workloads.{_HOME[facts.base]}.workload")
    return module.build(facts, folder)


def without_data(name: str) -> Workload:
    """The workload for shapes and types alone: its data need not be there."""
    facts = catalog.get(name)
    module = import_module(f"workloads.{_HOME[facts.base]}.workload")
    return module.build(facts, Path("no data"))
