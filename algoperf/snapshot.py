"""Whether the functions that a trial rests on are still the ones they were."""

import sys
from functools import cached_property
from types import FunctionType
from typing import Any

# Besides all of our own modules.
_LIBRARIES = frozenset(
    (
        "flax.linen",
        "jax",
        "jax.lax",
        "jax.monitoring",
        "jax.nn",
        "jax.numpy",
        "jax.random",
        "jax.tree",
        "jax.tree_util",
        "numpy",
        "optax",
        "threading",
        "time",
    )
)
_OURS = ("algoperf", "workloads")
_MEMBERS = (property, cached_property, classmethod, staticmethod)

# (module, name) -> the function, class, or what else is there.
Snapshot = dict[tuple[str, str], Any]


def snapshot() -> Snapshot:
    """What the modules of the harness and of a few libraries have in them."""
    found: Snapshot = {}
    for name, module in list(sys.modules.items()):
        ours = name.partition(".")[0] in _OURS
        if not ours and name not in _LIBRARIES:
            continue
        for attribute, value in list(vars(module).items()):
            if attribute.startswith("__") or not (ours or callable(value)):
                continue
            found[name, attribute] = value
            if ours and getattr(value, "__module__", None) == name:
                found |= _inside(name, attribute, value)
    return found


def replaced(before: Snapshot) -> list[str]:
    """The dotted names that stand for something else now."""
    now = snapshot()
    return [".".join(key) for key, value in before.items() if now.get(key) is not value]


def _inside(module: str, attribute: str, value: Any) -> Snapshot:
    """The methods of a class, the code of a function."""
    if isinstance(value, FunctionType):
        return {(module, f"{attribute}.__code__"): value.__code__}
    if not isinstance(value, type):
        return {}
    return {
        (module, f"{attribute}.{name}"): member
        for name, member in vars(value).items()
        if callable(member) or isinstance(member, _MEMBERS)
    }
