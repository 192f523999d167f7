"""ParameterType of every leaf, from the class of the module that owns it."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import linen as nn

from algoperf.spec import ParameterType, ParameterTypeTree

# Leaf name -> type, per module class. A class that is not here, and a bare
# parameter, count as a plain layer: `bias` is a bias, anything else a weight.
_PLAIN = {"bias": ParameterType.BIAS}
_NORM = {
    "scale": ParameterType.LAYER_NORM_SCALE,
    "bias": ParameterType.LAYER_NORM_BIAS,
}
_CONV = {"kernel": ParameterType.CONV_WEIGHT, "bias": ParameterType.BIAS}
_BY_CLASS: dict[type, Mapping[str, ParameterType]] = {
    nn.Conv: _CONV,
    nn.ConvTranspose: _CONV,
    nn.ConvLocal: _CONV,
    nn.BatchNorm: {
        "scale": ParameterType.BATCH_NORM_SCALE,
        "bias": ParameterType.BATCH_NORM_BIAS,
    },
    nn.LayerNorm: _NORM,
    nn.RMSNorm: _NORM,
    nn.GroupNorm: _NORM,
    nn.InstanceNorm: _NORM,
    nn.Embed: {"embedding": ParameterType.EMBEDDING},
}
_ATTENTION = {
    "query": ParameterType.ATTENTION_Q,
    "key": ParameterType.ATTENTION_K,
    "value": ParameterType.ATTENTION_V,
    "out": ParameterType.ATTENTION_OUT,
    "qkv": ParameterType.ATTENTION_QKV,
    "kv": ParameterType.ATTENTION_KV,
}


def param_types(
    init: Callable[[], Mapping[str, Any]],
) -> ParameterTypeTree:
    """The type of every parameter, in the params' own tree.

    Args:
      init: initialises the model and returns its variables; it is only traced.

    A module class of the project's own states its types in a class attribute
    `parameter_types` (leaf name -> ParameterType) and is an attention block if it
    sets `is_attention = True`: then its projections are typed by their names.
    """
    owners: dict[tuple[str, ...], type] = {}

    def note_class(next_call, args, kwargs, context):
        owners[context.module.path] = type(context.module)
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note_class):
        # A new function every time: of one that it knows JAX would not run the code.
        params = jax.eval_shape(lambda: init())["params"]
    return jax.tree_util.tree_map_with_path(
        lambda path, _: _leaf_type(tuple(key.key for key in path), owners), params
    )


def _leaf_type(
    path: tuple[str, ...], owners: Mapping[tuple[str, ...], type]
) -> ParameterType:
    *module_path, leaf = path
    module_path = tuple(module_path)
    parent = owners.get(module_path[:-1]) if module_path else None
    if parent is not None and _is_attention(parent):
        projection = _ATTENTION.get(module_path[-1])
        if projection is not None and leaf == "bias":
            return ParameterType.ATTENTION_BIAS
        if projection is not None and leaf == "kernel":
            return projection
    owner = owners.get(module_path)
    types = _types_of(owner)
    return types.get(leaf, _PLAIN.get(leaf, ParameterType.WEIGHT))


def _is_attention(module: type) -> bool:
    return issubclass(module, nn.MultiHeadDotProductAttention) or getattr(
        module, "is_attention", False
    )


def _types_of(owner: type | None) -> Mapping[str, ParameterType]:
    if owner is None:
        return _PLAIN
    own = getattr(owner, "parameter_types", None)
    if own is not None:
        return own
    for ancestor in owner.__mro__:
        if ancestor in _BY_CLASS:
            return _BY_CLASS[ancestor]
    return _PLAIN
