"""What an optimizer's step costs: milliseconds and bytes of state, against AdamW.

Every bundled submission takes steps on the real parameter shapes of ResNet-50 or of the
WMT Transformer, in turns with `adamw`. The loss is half the sum of squares, so that the
gradient costs next to nothing and what is timed is the update.

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

from algoperf.cli.bundled import bundled_submissions, search_space_beside
from algoperf.optimizers import state_bytes_per_parameter
from algoperf.spec import LossType, ShapeTuple
from algoperf.submission import load_submission
from algoperf.tuning import read_search_space, study_points

ROUNDS, WARM = 5, 2
REFERENCE = "adamw"
# Where a method has to do more than read and write its state: what its algorithm asks
# for in a step, next to AdamW.
EXPECTED = {
    "sam": "2 gradients",
    "muon": "5 Newton-Schulz iterations of 3 products per matrix",
    "soap": "4 rotations, 2 Gram matrices per matrix; QR every 10 steps",
    "shampoo": "2 Gram matrices, 2 products per matrix; roots every 20 steps",
    "lawa": "a snapshot every 1 % of the steps",
    "frugal": "a gather and a scatter per matrix",
    "adafactor": "row and column means, 8-bit momentum",
}


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

    def __init__(self, name: str, workload: Any):
        folder = bundled_submissions()[name]
        space = search_space_beside(folder)
        points = [None] if space is None else study_points(read_search_space(space), 1)
        self.point, self.workload = points[0], workload
        self.submission = load_submission(folder)
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


def compare(name: str, workload: Squares) -> None:
    """Prints a line: the submission against AdamW, steps in turns."""
    own, reference = Runner(name, workload), Runner(REFERENCE, workload)
    for runner in (own, reference):
        for _ in range(WARM):
            runner.seconds()
    pairs = [(own.seconds(), reference.seconds()) for _ in range(ROUNDS)]
    ours, theirs = (
        1_000 * statistics.median(side) for side in zip(*pairs, strict=True)
    )
    ratio = statistics.median(a / b for a, b in pairs)
    numbers = f"{ours:9.1f} {theirs:9.1f} {ratio:7.2f} {own.bytes:9.2f}"
    print(f"{name:<20} {numbers}  {EXPECTED.get(name, '')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="resnet")
    parser.add_argument("--submissions", help="by commas; all without")
    options = parser.parse_args()
    make, count = MODELS[options.model]
    shapes = jax.tree.map(ShapeTuple, make(), is_leaf=lambda x: isinstance(x, tuple))
    found = sum(math.prod(leaf.shape_tuple) for leaf in jax.tree.leaves(shapes))
    assert found == count, f"{found:,} parameters instead of {count:,}"
    names = options.submissions.split(",") if options.submissions else None
    print(f"{options.model}, {count:,} parameters, {jax.devices()[0].device_kind}")
    print(
        "submission                  ms  adamw ms   ratio  B/param  beyond AdamW's work"
    )
    for name in names or sorted(set(bundled_submissions()) - {REFERENCE}):
        compare(name, Squares(shapes))


if __name__ == "__main__":
    main()
