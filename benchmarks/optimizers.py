"""What an optimizer's step costs: milliseconds and bytes of state, against AdamW.

Every bundled submission takes steps on the real parameter shapes of ResNet-50 or of the
WMT Transformer, in turns with `adamw`. The loss is half the sum of squares, so that the
gradient costs next to nothing and what is timed is the update.

What every step has to do besides, the loss and the gradient's norm, is timed in the
same turns with an optimizer that changes nothing, and taken off both. The expected
ratio is what the algorithm demands: the words it reads and writes per parameter against
AdamW's, at AdamW's speed, and the floating-point operations of its matrix products at
the speed of a product of two 1,024 x 1,024 matrices.

    python benchmarks/optimizers.py --model=resnet --submissions=muon,soap
"""

import argparse
import math
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf.cli.bundled import bundled_submissions, search_space_beside
from algoperf.optax_submission import optax_submission
from algoperf.optimizers import state_bytes_per_parameter
from algoperf.spec import LossType, ShapeTuple
from algoperf.submission import load_submission
from algoperf.tuning import read_search_space, study_points

WARM = 2
REFERENCE = "adamw"
# Words of memory an update has to move per parameter: it reads and writes the params
# and each word of its state, 2 + 2 x words of state. A method whose update depends on a
# norm or a mean of the whole update reads what that is made of a second time.
WORDS = {
    "adamw": 6,
    "baseline": 6,
    "nadamw": 6,
    "nadamw_external": 6,
    "data_diet": 6,
    "target_setting": 6,
    "lawa": 6,  # and a snapshot every 1 % of the steps, of which none is timed
    "schedule_free_adamw": 6,
    "momentum": 4,
    "nesterov": 4,
    "lion": 4,
    "template": 4,
    "ademamix": 8,
    "ema": 8,
    "sam": 8,  # the params again for a second gradient, after the norm of the first
    "lamb": 9,  # the norm of the update
    "cautious_adamw": 9,  # the share of elements that agree in sign
    "prodigy": 14,  # two sums over all params decide on the step size
    # Row and column means, the norm of the update, the scale of the 8-bit momentum.
    "adafactor": 2 + 2 * 0.25 + 4,
    "frugal": 4,  # a gather and a scatter around the state of every fourth column
    "muon": 4,
    "soap": 6,
    "shampoo": 6,
}


def newton_schulz_flops(shapes: Any) -> float:
    """Muon: five iterations of X X^T, (X X^T)^2 and a product with X, per matrix."""
    flops = 0.0
    for path, leaf in jax.tree_util.tree_flatten_with_path(shapes)[0]:
        names = [str(key.key) for key in path]
        axes = leaf.shape_tuple
        if len(axes) < 2 or "embedding" in names:
            continue
        rows = (
            axes[0] if len(axes) == 3 and "out" not in names else math.prod(axes[:-1])
        )
        short, long = sorted((rows, math.prod(axes) // rows))
        flops += 5 * (4 * short**2 * long + 2 * short**3)
    return flops


def products_flops(state: Any, per_axis: int) -> float:
    """`per_axis` products of each block with a matrix [d, d] of each of its axes."""
    flops = 0.0
    for slot in jax.tree.leaves(state, is_leaf=_has_statistics):
        if not _has_statistics(slot):
            continue
        size = slot[1].size  # of the second array of a slot: as large as the param
        blocks = [b for b in slot.statistics if isinstance(b, tuple)]
        for side in jax.tree.leaves(slot.statistics):
            flops += per_axis * 2 * size / max(len(blocks), 1) * side.shape[0]
    return flops


def _has_statistics(node: Any) -> bool:
    return hasattr(node, "statistics")


def resnet50() -> dict[str, Any]:
    """The shapes of ResNet-50's parameters (25,557,032)."""
    shapes: dict[str, Any] = {
        "Conv_init": {"kernel": (7, 7, 3, 64)},
        **_norm("init", 64),
    }
    incoming, block = 64, 0
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for place in range(blocks):
            own: dict[str, Any] = {}
            convs = ((1, incoming, width), (3, width, width), (1, width, 4 * width))
            for number, (size, inner, outer) in enumerate(convs):
                own[f"Conv_{number}"] = {"kernel": (size, size, inner, outer)}
                own |= _norm(f"{number}", outer)
            if place == 0:
                own["Conv_proj"] = {"kernel": (1, 1, incoming, 4 * width)}
                own |= _norm("proj", 4 * width)
            shapes[f"BottleneckResNetBlock_{block}"] = own
            incoming, block = 4 * width, block + 1
    shapes["Dense_0"] = {"kernel": (2048, 1000), "bias": (1000,)}
    return shapes


def transformer() -> dict[str, Any]:
    """The shapes of the WMT Transformer's parameters (133,521,408)."""
    wide, heads = 1024, (1024, 16, 64)
    attention = {name: {"kernel": heads} for name in ("query", "key", "value")}
    attention["out"] = {"kernel": (16, 64, 1024)}
    dense = {"kernel": (wide, wide), "bias": (wide,)}
    norm = {"scale": (wide,), "bias": (wide,)}
    encoder = {"attention": attention, "Dense_0": dense, "Dense_1": dense}
    encoder |= {"LayerNorm_0": norm, "LayerNorm_1": norm}
    decoder = encoder | {"cross": attention, "LayerNorm_2": norm}
    return {
        "shared_embedding": {"embedding": (32_000, wide)},
        **{f"encoder_{layer}": encoder for layer in range(6)},
        **{f"decoder_{layer}": decoder for layer in range(6)},
        "encoder_norm": norm,
        "decoder_norm": norm,
    }


def _norm(name: str, size: int) -> dict[str, Any]:
    return {f"BatchNorm_{name}": {"scale": (size,), "bias": (size,)}}


MODELS = {"resnet": (resnet50, 25_557_032), "transformer": (transformer, 133_521_408)}


@dataclass(frozen=True, eq=False)
class Squares:
    """A workload whose loss is half the sum of squares of its parameters."""

    param_shapes: Any
    step_hint: int = 1_000
    metrics_logger: Any = None
    loss_type: LossType = LossType.MEAN_SQUARED_ERROR
    model_params_types: Any = field(default=None)

    def model_fn(self, params, batch, model_state, mode, rng, *rest, **named):
        """Half the sum of squares, as outputs of shape [1]."""
        del batch, mode, rng, rest, named
        squares = [jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(params)]
        return jnp.stack(squares).sum(keepdims=True) / 2, model_state

    def loss_fn(self, label_batch, logits_batch, mask_batch=None, label_smoothing=0.0):
        """The outputs as the loss of one example."""
        del label_batch, mask_batch, label_smoothing
        return {"summed": logits_batch.sum(), "n_valid_examples": 1.0}


class Runner:
    """One submission on one model, a step at a time."""

    def __init__(self, submission: Any, point: Any, workload: Any):
        self.submission, self.point, self.workload = submission, point, workload
        key = jax.random.PRNGKey(0)
        self.params = jax.tree.map(
            lambda leaf: jax.random.normal(key, leaf.shape_tuple) * 0.02,
            workload.param_shapes,
        )
        self.state = self.submission.init_optimizer_state(
            workload, self.params, None, self.point, key
        )
        self.bytes = state_bytes_per_parameter(self.state, self.params)
        self.batch = {"inputs": jnp.zeros((1,)), "targets": jnp.zeros((1,))}
        self.step = 0

    @classmethod
    def bundled(cls, name: str, workload: Any) -> "Runner":
        """A bundled submission with the first point of its search space."""
        folder = bundled_submissions()[name]
        space = search_space_beside(folder)
        points = [None] if space is None else study_points(read_search_space(space), 1)
        return cls(load_submission(folder), points[0], workload)

    def seconds(self) -> float:
        """One step, until the device is done."""
        started = time.perf_counter()
        self.state, self.params, _ = self.submission.update_params(
            workload=self.workload,
            current_param_container=self.params,
            current_params_types=None,
            model_state=None,
            hyperparameters=self.point,
            batch=self.batch,
            loss_type=self.workload.loss_type,
            optimizer_state=self.state,
            eval_results=[],
            global_step=self.step,
            rng=jax.random.PRNGKey(self.step),
            train_state={},
        )
        jax.block_until_ready(self.params)
        self.step += 1
        return time.perf_counter() - started


def product_flops_per_s() -> float:
    """The rate of a product of two matrices [1024, 1024] in float32."""
    matrix = jnp.ones((1024, 1024))
    multiply = jax.jit(jnp.matmul)
    multiply(matrix, matrix).block_until_ready()
    started = time.perf_counter()
    for _ in range(10):
        matrix = multiply(matrix, matrix).block_until_ready()
    return 10 * 2 * 1024**3 / (time.perf_counter() - started)


def product_flops(name: str, runner: Runner) -> float:
    """Floating-point operations of the matrix products of a step."""
    if name == "muon":
        return newton_schulz_flops(runner.workload.param_shapes)
    # SOAP rotates the gradient, the moment and the step, and takes a Gram matrix;
    # Shampoo takes a Gram matrix and multiplies with a root. QR and roots come at
    # other steps than those that are timed.
    per_axis = {"soap": 4, "shampoo": 2}.get(name, 0)
    return products_flops(runner.state, per_axis) if per_axis else 0.0


def compare(name: str, workload: Squares, rounds: int) -> None:
    """Prints a line: the submission against AdamW, steps in turns."""
    bare = optax_submission(lambda *_: optax.set_to_zero())
    runners = [
        Runner.bundled(name, workload),
        Runner.bundled(REFERENCE, workload),
        Runner(bare, None, workload),
    ]
    for runner in runners * WARM:
        runner.seconds()
    turns = [[runner.seconds() for runner in runners] for _ in range(rounds)]
    ours_s, theirs_s, bare_s = (
        statistics.median(side) for side in zip(*turns, strict=True)
    )
    ours_s, theirs_s = ours_s - bare_s, theirs_s - bare_s
    ratio = ours_s / theirs_s
    products_s = product_flops(name, runners[0]) / product_flops_per_s()
    expected = WORDS[name] / WORDS[REFERENCE] + products_s / theirs_s
    numbers = f"{1000 * ours_s:9.1f} {1000 * theirs_s:9.1f} {ratio:7.2f}"
    excess = f"{expected:9.2f} {ratio / expected:7.2f}"
    print(f"{name:<20} {numbers} {excess} {runners[0].bytes:9.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="resnet")
    parser.add_argument("--submissions", help="by commas; all without")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    make, count = MODELS[options.model]
    shapes = jax.tree.map(ShapeTuple, make(), is_leaf=lambda x: isinstance(x, tuple))
    found = sum(math.prod(leaf.shape_tuple) for leaf in jax.tree.leaves(shapes))
    assert found == count, f"{found:,} parameters instead of {count:,}"
    names = options.submissions.split(",") if options.submissions else None
    print(f"{options.model}, {count:,} parameters, {jax.devices()[0].device_kind}")
    print(
        "submission                  ms  adamw ms   ratio  expected  excess   B/param"
    )
    for name in names or sorted(set(bundled_submissions()) - {REFERENCE}):
        compare(name, Squares(shapes), options.rounds)


if __name__ == "__main__":
    main()
