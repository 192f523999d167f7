"""AlgoPerf's names for shapes and types of parameters, for submissions that use them.

The harness itself types parameters by the modules that own them (`param_types`); here
there are only names to go by.
"""

from collections.abc import Mapping
from typing import Any

import jax

from algoperf.spec import (
    ParameterShapeTree,
    ParameterType,
    ParameterTypeTree,
    ShapeTuple,
)

_ATTENTION = {
    "key": ParameterType.ATTENTION_K,
    "query": ParameterType.ATTENTION_Q,
    "value": ParameterType.ATTENTION_V,
    "out": ParameterType.ATTENTION_OUT,
}


def jax_param_shapes(params: Any) -> ParameterShapeTree:
    """The shape of every array, in the params' own tree."""
    return jax.tree.map(lambda leaf: ShapeTuple(leaf.shape), params)


def jax_param_types(
    param_shapes: Mapping[str, Any], parent_name: str = ""
) -> ParameterTypeTree:
    """The type of every parameter by AlgoPerf's substring rules, in the same tree.

    The rules look at the leaf's name and at the path of modules above it.
    AlgoPerf returns lower-case keys instead, which fit no params tree.
    """
    return {
        name: jax_param_types(value, f"{parent_name}/{name.lower()}")
        if isinstance(value, Mapping)
        else _type_of(name.lower(), parent_name)
        for name, value in param_shapes.items()
    }


def _type_of(name: str, parent: str) -> ParameterType:
    is_bias = "bias" in name
    if "batchnorm" in parent or "bn" in parent:
        kinds = (ParameterType.BATCH_NORM_SCALE, ParameterType.BATCH_NORM_BIAS)
        return kinds[is_bias]
    if "layernorm" in parent or "ln" in parent:
        kinds = (ParameterType.LAYER_NORM_SCALE, ParameterType.LAYER_NORM_BIAS)
        return kinds[is_bias]
    if "conv" in parent:
        return ParameterType.BIAS if is_bias else ParameterType.CONV_WEIGHT
    if "embedding" in name or ("embedding" in parent and name == "kernel"):
        return ParameterType.EMBEDDING
    if "attention" in parent:
        return _attention_type(name, parent)
    return ParameterType.BIAS if is_bias else ParameterType.WEIGHT


def _attention_type(name: str, parent: str) -> ParameterType:
    if name == "bias":
        return ParameterType.ATTENTION_BIAS
    if "in_proj_weight" in name:
        return ParameterType.ATTENTION_QKV
    if "scale" in name:
        return ParameterType.WEIGHT
    for part, kind in _ATTENTION.items():
        if part in name or part in parent:
            return kind
    return ParameterType.BIAS if "bias" in name else ParameterType.WEIGHT
