"""The one Workload class: what a submission may call, under AlgoPerf's names."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.data import DataSource, PlacedBatches
from algoperf.evaluate import evaluate
from algoperf.facts import Facts, Split
from algoperf.jax_sharding_utils import get_batch_dim_sharding, get_replicate_sharding
from algoperf.metrics import Metrics
from algoperf.param_types import param_types
from algoperf.spec import (
    Batch,
    ForwardPassMode,
    LossType,
    ModelAuxiliaryState,
    ModelInitState,
    ParameterContainer,
    ParameterShapeTree,
    ParameterTypeTree,
    ShapeTuple,
)


class ForwardOptions(NamedTuple):
    """How one forward pass runs."""

    train: bool
    use_running_average: bool  # of batch normalisation
    dropout_rate: Any  # may be traced


# (apply, batch, options) -> what `apply` returns, where `apply(*inputs)` calls the
# model with its variables and random keys bound: how a batch is fed to the model.
Forward = Callable[[Callable[..., Any], Batch, ForwardOptions], Any]
Loss = Callable[..., dict[str, jax.Array]]


def itself(key: jax.Array) -> jax.Array:
    """The `Workload.init_key` of a model whose params come from the key as it is."""
    return key


def first_of_two(key: jax.Array) -> jax.Array:
    """Of one that splits off another key; AlgoPerf's models begin with either."""
    return jax.random.split(key, 2)[0]


def feed_inputs(apply: Callable[..., Any], batch: Batch, options: ForwardOptions):
    """The forward pass of a model that only needs `batch["inputs"]`."""
    del options
    return apply(batch["inputs"])


@dataclass(frozen=True, eq=False, kw_only=True)
class Workload:
    """A fixed training problem: model, data, loss, metrics, target and budget.

    Frozen, and hashed by identity, because submissions pass it to `jax.jit` as a
    static argument. `example_batch` holds shapes and dtypes of a batch of one, as the
    model gets it: what `data` delivers, after `finish` on the devices. `init_key` makes
    the params' key of the one that `init_model_fn` gets, as AlgoPerf does.
    `train_mean` and `train_stddev` are those of a pixel.
    """

    facts: Facts
    model: nn.Module
    example_batch: dict[str, Any]
    forward: Forward
    loss: Loss
    metrics: Metrics
    data: DataSource
    finish: Callable[[Batch], Batch] | None = None
    output_params: tuple[str, ...] = ()  # names of the modules that make the output
    default_dropout_rate: float = 0.0
    init_key: Callable[[jax.Array], jax.Array] = itself
    train_mean: float | tuple[float, ...] = 0.0
    train_stddev: float | tuple[float, ...] = 1.0
    metrics_logger: Any = None

    def init_model_fn(self, rng: jax.Array) -> ModelInitState:
        """Initial params and model state (None without one), replicated."""
        variables = dict(self._jitted_init(rng))
        params = variables.pop("params")
        return params, variables or None

    def model_fn(
        self,
        params: ParameterContainer,
        augmented_and_preprocessed_input_batch: Batch,
        model_state: ModelAuxiliaryState,
        mode: ForwardPassMode,
        rng: jax.Array,
        update_batch_norm: bool,
        use_running_average_bn: bool | None = None,
        dropout_rate: Any = None,
    ) -> tuple[Any, ModelAuxiliaryState]:
        """One forward pass: (outputs, new model state).

        Pure and traceable. In TRAIN mode `update_batch_norm=False` normalises by
        the running averages, unless `use_running_average_bn=False` asks for those
        of the batch; the state comes back unchanged in both cases.
        `dropout_rate=None` means the workload's default.
        """
        train = mode == ForwardPassMode.TRAIN
        update = train and update_batch_norm and bool(model_state)
        if use_running_average_bn is None:
            use_running_average_bn = not (train and update_batch_norm)
        if dropout_rate is None:
            dropout_rate = self.default_dropout_rate
        options = ForwardOptions(train, use_running_average_bn, dropout_rate)
        # Everything but the params may be written to, or batch norm could not use
        # the statistics of the batch; what is written is dropped without an update.
        apply = functools.partial(
            self.model.apply,
            {"params": params, **(model_state or {})},
            rngs={"dropout": rng} if train else None,
            mutable=list(model_state or ()),
        )
        outputs, written = self.forward(
            apply, augmented_and_preprocessed_input_batch, options
        )
        return outputs, dict(written) if update else model_state

    def loss_fn(
        self,
        label_batch: Any,
        logits_batch: Any,
        mask_batch: Any = None,
        label_smoothing: Any = 0.0,
    ) -> dict[str, jax.Array]:
        """`summed`, `n_valid_examples` and `per_example`, without regularisation."""
        return self.loss(label_batch, logits_batch, mask_batch, label_smoothing)

    @functools.cached_property
    def param_shapes(self) -> ParameterShapeTree:
        """The params' tree with `ShapeTuple` leaves; costs no memory."""
        params = self._variable_shapes["params"]
        return jax.tree.map(lambda leaf: ShapeTuple(leaf.shape), params)

    @functools.cached_property
    def model_state_shapes(self) -> Any:
        """The model state's tree with `jax.ShapeDtypeStruct` leaves; {} without one."""
        shapes = self._variable_shapes
        return {name: shapes[name] for name in shapes if name != "params"}

    @functools.cached_property
    def _variable_shapes(self) -> dict[str, Any]:
        return dict(jax.eval_shape(self._init, jax.random.PRNGKey(0)))

    @functools.cached_property
    def model_params_types(self) -> ParameterTypeTree:
        """The params' tree with `ParameterType` leaves."""
        return param_types(lambda: self._init(jax.random.PRNGKey(0)))

    @functools.cached_property
    def num_params(self) -> int:
        """How many numbers the params hold."""
        shapes = jax.tree.leaves(self.param_shapes)
        return sum(math.prod(leaf.shape_tuple) for leaf in shapes)

    @functools.cached_property
    def measure(self) -> Callable[..., Any]:
        """`metrics.measure` of one batch, compiled once per shape of a batch."""
        return jax.jit(
            functools.partial(self.metrics.measure, self),
            out_shardings=get_replicate_sharding(),
        )

    @functools.cached_property
    def _jitted_init(self) -> Callable[..., Any]:
        return jax.jit(self._init, out_shardings=get_replicate_sharding())

    def _init(self, rng: jax.Array) -> dict[str, Any]:
        batch = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.example_batch
        )
        init = functools.partial(self.model.init, self.init_key(rng))
        options = ForwardOptions(
            train=False, use_running_average=True, dropout_rate=0.0
        )
        return self.forward(init, batch, options)

    def batches(
        self, split: Split, batch_size: int, seed: int = 0, position: int = 0
    ) -> PlacedBatches:
        """Batches of a split on the devices, as the model gets them."""
        batches = self.data.batches(split, batch_size, seed, position)
        return PlacedBatches(batches, self._jitted_finish)

    @functools.cached_property
    def _jitted_finish(self) -> Callable[[Batch], Batch] | None:
        if self.finish is None:
            return None
        return jax.jit(self.finish, out_shardings=get_batch_dim_sharding())

    def is_output_params(self, key: str) -> bool:
        """Whether the top-level module called `key` makes the outputs."""
        return key in self.output_params

    def eval_model(
        self,
        global_batch_size: int,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        rng: jax.Array,
        data_dir: Any = None,
        imagenet_v2_data_dir: Any = None,
        global_step: int = 0,
    ) -> dict[str, float]:
        """All metrics of all splits. Data folders were given when it was built."""
        del data_dir, imagenet_v2_data_dir, global_step
        return evaluate(self, params, model_state, rng, global_batch_size)

    def attach_metrics_logger(self, metrics_logger: Any) -> None:
        """AlgoPerf's name for giving the logger; here done once, before training."""
        object.__setattr__(self, "metrics_logger", metrics_logger)

    def output_activation_fn(self, logits: jax.Array, framework: str = "jax") -> Any:
        """Logits to what the loss reads: probabilities, or the values themselves."""
        del framework
        if self.loss_type in (LossType.SOFTMAX_CROSS_ENTROPY, LossType.CTC_LOSS):
            return jax.nn.softmax(logits)
        if self.loss_type == LossType.SIGMOID_CROSS_ENTROPY:
            return jax.nn.sigmoid(logits)
        return logits

    def has_reached_validation_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `validation/<metric>` is at least as good as the target."""
        return self.facts.reached_validation(
            eval_result[f"validation/{self.facts.metric}"]
        )

    def has_reached_test_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `test/<metric>` reaches its target; true if there is none."""
        value = eval_result.get(f"test/{self.facts.metric}", float("nan"))
        return self.facts.reached_test(value)

    @property
    def loss_type(self) -> LossType:
        return LossType[self.facts.loss.upper()]

    @property
    def step_hint(self) -> int:
        return self.facts.step_hint

    @property
    def target_metric_name(self) -> str:
        return self.facts.metric

    @property
    def validation_target_value(self) -> float:
        return self.facts.validation_target

    @property
    def test_target_value(self) -> float | None:
        return self.facts.test_target

    @property
    def max_allowed_runtime_sec(self) -> float:
        return self.facts.max_runtime_s

    @property
    def eval_period_time_sec(self) -> float | None:
        return self.facts.eval_period_s

    @property
    def eval_batch_size(self) -> int:
        return self.facts.eval_batch_size

    @property
    def num_train_examples(self) -> int:
        return self.facts.examples["train"]

    @property
    def num_eval_train_examples(self) -> int:
        return self.facts.examples["eval_train"]

    @property
    def num_validation_examples(self) -> int:
        return self.facts.examples["validation"]

    @property
    def num_test_examples(self) -> int | None:
        return self.facts.examples.get("test")
