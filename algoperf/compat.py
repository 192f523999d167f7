"""Names that JAX has removed since 0.4.10 and published submissions still use.

Found by comparing the public names of JAX 0.4.10, 0.4.20, 0.4.30 and 0.5 to 0.9 with
those of 0.10. What has a modern equal gets its old name back while a
submission is loaded, and for the rest of the process, since submissions look names up
when they run. Nothing that JAX still has is replaced, but for `jnp.clip`, which also
takes its old arguments `a`, `a_min` and `a_max` again. What has no equal
(`jax.experimental.maps.xmap`, `host_callback`, `PositionalSharding`, ...) stays gone.
"""

import ast
import functools
import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# module: {name that is gone: where its equal is}
_MOVED: dict[str, dict[str, str]] = {
    "jax": {
        "ShapedArray": "jax.core.ShapedArray",
        "tree_flatten": "jax.tree_util.tree_flatten",
        "tree_leaves": "jax.tree_util.tree_leaves",
        "tree_map": "jax.tree_util.tree_map",
        "tree_structure": "jax.tree_util.tree_structure",
        "tree_transpose": "jax.tree_util.tree_transpose",
        "tree_unflatten": "jax.tree_util.tree_unflatten",
        "treedef_is_leaf": "jax.tree_util.treedef_is_leaf",
    },
    "jax.numpy": {
        "DeviceArray": "jax.Array",
        "alltrue": "jax.numpy.all",
        "cumproduct": "jax.numpy.cumprod",
        "fix": "jax.numpy.trunc",
        "in1d": "jax.numpy.isin",
        "issubsctype": "jax.numpy.issubdtype",
        "product": "jax.numpy.prod",
        "round_": "jax.numpy.round",
        "row_stack": "jax.numpy.vstack",
        "sometrue": "jax.numpy.any",
        "trapz": "jax.numpy.trapezoid",
    },
    "jax.nn": {"normalize": "jax.nn.standardize"},
    "jax.random": {
        "KeyArray": "jax.Array",
        "PRNGKeyArray": "jax.Array",
        "shuffle": "jax.random.permutation",
    },
    "jax.lax": {"zeros_like_array": "jax.numpy.zeros_like"},
    "jax.scipy.linalg": {"tril": "jax.numpy.tril", "triu": "jax.numpy.triu"},
    "jax.sharding": {
        "AxisTypes": "jax.sharding.AxisType",
        "MeshPspecSharding": "jax.sharding.NamedSharding",
        "XLACompatibleSharding": "jax.sharding.Sharding",
        "use_mesh": "jax.sharding.set_mesh",
    },
    "jax.experimental": {
        "PartitionSpec": "jax.sharding.PartitionSpec",
    },
    "jax.experimental.pjit": {
        "NamedSharding": "jax.sharding.NamedSharding",
        "PartitionSpec": "jax.sharding.PartitionSpec",
        "with_sharding_constraint": "jax.lax.with_sharding_constraint",
    },
    "jax.experimental.maps": {"Mesh": "jax.sharding.Mesh"},
    "jax.experimental.shard_map": {"shard_map": "jax.shard_map"},
    "jax.interpreters.pxla": {
        "Mesh": "jax.sharding.Mesh",
        "PartitionSpec": "jax.sharding.PartitionSpec",
        "ShardedDeviceArray": "jax.Array",
    },
    "jax.interpreters.xla": {
        "DeviceArray": "jax.Array",
        "ShapedArray": "jax.core.ShapedArray",
    },
    "jax.abstract_arrays": {"ShapedArray": "jax.core.ShapedArray"},
    "jax.ad_checkpoint": {"checkpoint": "jax.checkpoint", "remat": "jax.checkpoint"},
    "jax.config": {"config": "jax.config"},
    "jax.core": {
        name: f"jax.extend.core.{name}"
        for name in (
            "ClosedJaxpr",
            "Jaxpr",
            "JaxprEqn",
            "Literal",
            "Primitive",
            "Token",
            "Var",
            "jaxpr_as_fun",
        )
    }
    | {
        name: f"jax.errors.{name}"
        for name in (
            "ConcretizationTypeError",
            "TracerArrayConversionError",
            "TracerIntegerConversionError",
            "UnexpectedTracerError",
        )
    }
    | {"get_aval": "jax.typeof"},
    "jax.linear_util": {
        name: f"jax.extend.linear_util.{name}"
        for name in (
            "WrappedFun",
            "transformation",
            "transformation_with_aux",
            "wrap_init",
        )
    },
    "jax.lib.xla_bridge": {
        "default_backend": "jax.default_backend",
        "get_backend": "jax.extend.backend.get_backend",
    },
}

_CLIP_NAME = "jax.numpy.clip"
CLIP = "jax.numpy.clip(a_min=, a_max=)"


@functools.cache
def supply_removed_names() -> frozenset[str]:
    """Gives the names that this JAX lacks back to it; returns them, dotted.

    Once a process: later calls return what the first one did.
    """
    found = set()
    with warnings.catch_warnings():
        # Looking at what JAX deprecates, but still has, warns.
        warnings.simplefilter("ignore")
        for module_name, names in _replacements().items():
            module = _module(module_name)
            for name, replacement in names.items():
                if not hasattr(module, name):
                    setattr(module, name, replacement())
                    found.add(f"{module_name}.{name}")
    if "a_min" not in inspect.signature(jnp.clip).parameters:
        jnp.clip = _with_old_arguments(jnp.clip)
        found.add(CLIP)
    return frozenset(found)


def removed_names_used(sources: Iterable[Path]) -> tuple[str, ...]:
    """Which of the supplied names occur in Python files, sorted."""
    return tuple(sorted(names_in_files(sources) & supply_removed_names()))


def names_in_files(sources: Iterable[Path]) -> frozenset[str]:
    """The dotted names that Python files use of what they import.

    By reading the files: names that a file makes up at run time are not seen.
    """
    return frozenset(
        name for path in sources for name in _names_in(ast.parse(path.read_bytes()))
    )


def known_names() -> frozenset[str]:
    """Every dotted name that can be supplied, whether this JAX lacks it or not."""
    found = _replacements().items()
    return frozenset(f"{module}.{name}" for module, own in found for name in own)


def _replacements() -> dict[str, dict[str, Callable[[], Any]]]:
    """What stands for a name, by module and name; looked up when it is needed."""
    found: dict[str, dict[str, Callable[[], Any]]] = {}
    for module, names in _MOVED.items():
        own = found.setdefault(module, {})
        for name, place in names.items():
            own[name] = functools.partial(_look_up, place)
    for place, value in _WRITTEN.items():
        module, _, name = place.rpartition(".")
        found.setdefault(module, {})[name] = functools.partial(_itself, value)
    return found


def _itself(value: Any) -> Any:
    return value


def _look_up(place: str) -> Any:
    module, _, name = place.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _module(name: str) -> ModuleType:
    """The module, made empty if JAX has it no more."""
    try:
        return importlib.import_module(name)
    except ImportError:
        module = sys.modules[name] = ModuleType(name)
        parent, _, own = name.rpartition(".")
        # `jax.config` is an object now: this is for `from jax.config import` alone.
        if not hasattr(sys.modules[parent], own):
            setattr(sys.modules[parent], own, module)
        return module


def _put_sharded(shards: Sequence[Any], devices: Sequence[Any]) -> Any:
    """`jax.device_put_sharded`: one shard a device, along a new leading axis."""
    mesh = jax.sharding.Mesh(np.array(devices), ("device",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("device"))
    return jax.tree.map(
        lambda *leaves: jax.device_put(jnp.stack(leaves), sharding), *shards
    )


def _put_replicated(tree: Any, devices: Sequence[Any]) -> Any:
    """`jax.device_put_replicated`: a copy a device, along a new leading axis."""
    return _put_sharded([tree] * len(devices), devices)


def _x64(new_val: bool = True) -> Any:
    return jax.enable_x64(new_val)


# What was more than another name.
_WRITTEN: dict[str, Any] = {
    "jax.device_put_replicated": _put_replicated,
    "jax.device_put_sharded": _put_sharded,
    "jax.experimental.disable_x64": functools.partial(_x64, False),
    "jax.experimental.enable_x64": _x64,
    "jax.lax.tie_in": lambda x, y: y,
    "jax.numpy.NINF": -float("inf"),
    "jax.numpy.NZERO": -0.0,
    "jax.numpy.PZERO": 0.0,
}


def _with_old_arguments(clip: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    @functools.wraps(clip)
    def with_old_arguments(
        arr=None, /, min=None, max=None, *, a=None, a_min=None, a_max=None
    ):
        return clip(
            a if arr is None else arr,
            a_min if min is None else min,
            a_max if max is None else max,
        )

    # `wraps` would let `inspect.signature` show the function without them.
    del with_old_arguments.__wrapped__
    return with_old_arguments


def _names_in(tree: ast.AST) -> Iterator[str]:
    """Dotted names of JAX that a module uses, through whatever it imports them as."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                known[alias.asname or name] = name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield _dotted(node, known)
        elif (
            isinstance(node, ast.Call)
            and _dotted(node.func, known) == _CLIP_NAME
            and {"a", "a_min", "a_max"} & {word.arg for word in node.keywords}
        ):
            yield CLIP


def _dotted(node: ast.AST, known: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([known.get(node.id, node.id), *reversed(parts)])
