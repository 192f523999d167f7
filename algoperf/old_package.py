"""The package's name before 2024, `algorithmic_efficiency`: old submissions use it.

The modules are the same objects under two names: a class that a submission gets through
the old one is the class that the harness knows.
"""

import sys
from types import ModuleType

import algoperf
from algoperf import (
    data_utils,
    halton,
    jax_sharding_utils,
    jax_utils,
    param_utils,
    random_utils,
    spec,
)

OLD_NAME = "algorithmic_efficiency"
_MODULES = (
    data_utils,
    halton,
    jax_sharding_utils,
    jax_utils,
    param_utils,
    random_utils,
    spec,
)


def provide_old_package() -> None:
    """Makes `import algorithmic_efficiency` work, unless such a package is there."""
    if OLD_NAME in sys.modules:
        return
    package = ModuleType(OLD_NAME, algoperf.__doc__)
    package.__path__ = []  # a package, with no more modules than these
    sys.modules[OLD_NAME] = package
    for module in _MODULES:
        name = module.__name__.rpartition(".")[2]
        setattr(package, name, module)
        sys.modules[f"{OLD_NAME}.{name}"] = module
