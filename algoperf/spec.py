"""AlgoPerf's vocabulary: the names that submissions import and annotate with."""

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import jax
import numpy as np


class ForwardPassMode(enum.IntEnum):
    """What a forward pass is for."""

    TRAIN = 0
    EVAL = 1


class LossType(enum.IntEnum):
    """The kind of loss a workload is trained on."""

    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ParameterType(enum.IntEnum):
    """The role of a parameter in its layer."""

    WEIGHT = 0
    BIAS = 1
    CONV_WEIGHT = 2
    BATCH_NORM_SCALE = 3
    BATCH_NORM_BIAS = 4
    LAYER_NORM_SCALE = 5
    LAYER_NORM_BIAS = 6
    EMBEDDING = 7
    ATTENTION_Q = 8
    ATTENTION_K = 9
    ATTENTION_V = 10
    ATTENTION_OUT = 11
    ATTENTION_QKV = 12
    ATTENTION_KV = 13
    ATTENTION_BIAS = 14


class ShapeTuple:
    """The shape of one parameter; an opaque leaf in a tree, unlike a plain tuple."""

    def __init__(self, shape_tuple: tuple[int, ...]):
        self.shape_tuple = shape_tuple

    def __repr__(self) -> str:
        return f"ShapeTuple({self.shape_tuple})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeTuple) and self.shape_tuple == other.shape_tuple

    def __hash__(self) -> int:
        return hash(self.shape_tuple)


class TrainingCompleteError(Exception):
    """Raised by a submission that is done: training ends with the state it had."""


Tensor = jax.Array | np.ndarray
Shape = tuple[int, ...]
ParameterKey = str
ParameterContainer = Any  # nested dicts of arrays
ParameterShapeTree = Any  # the same tree of ShapeTuple
ParameterTypeTree = Any  # the same tree of ParameterType
ModelAuxiliaryState = Any  # e.g. {"batch_stats": ...}, or None
ModelInitState = tuple[ParameterContainer, ModelAuxiliaryState]
OptimizerState = Any  # whatever the submission returns
Hyperparameters = Any  # a namedtuple, or None under the self-tuning ruleset
RandomState = Any  # a JAX key: uint32 [2]
Timing = float
Steps = int
Batch = Mapping[str, Any]
UpdateReturn = tuple[OptimizerState, ParameterContainer, ModelAuxiliaryState]
EvalResults = list[tuple[int, dict[str, float]]]


class Workload(Protocol):
    """What a submission may use of a workload (`algoperf.workload.Workload`)."""

    @property
    def metrics_logger(self) -> Any: ...

    @property
    def step_hint(self) -> int: ...

    @property
    def param_shapes(self) -> ParameterShapeTree: ...

    @property
    def model_params_types(self) -> ParameterTypeTree: ...

    @property
    def loss_type(self) -> LossType: ...

    def init_model_fn(self, rng: RandomState) -> ModelInitState: ...

    def model_fn(
        self,
        params: ParameterContainer,
        augmented_and_preprocessed_input_batch: Batch,
        model_state: ModelAuxiliaryState,
        mode: ForwardPassMode,
        rng: RandomState,
        update_batch_norm: bool,
        use_running_average_bn: bool | None = None,
        dropout_rate: Any = 0.0,
    ) -> tuple[Any, ModelAuxiliaryState]: ...

    def loss_fn(
        self,
        label_batch: Any,
        logits_batch: Any,
        mask_batch: Any = None,
        label_smoothing: Any = 0.0,
    ) -> dict[str, jax.Array]: ...


InitOptimizerFn = Callable[
    [
        Workload,
        ParameterContainer,
        ModelAuxiliaryState,
        Hyperparameters,
        RandomState,
    ],
    OptimizerState,
]
UpdateParamsFn = Callable[..., UpdateReturn]
PrepareForEvalFn = Callable[..., UpdateReturn]
DataSelectionFn = Callable[
    [
        Workload,
        Iterator[Batch],
        OptimizerState,
        ParameterContainer,
        ModelAuxiliaryState,
        Hyperparameters,
        int,
        RandomState,
    ],
    Batch,
]
