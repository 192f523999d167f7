"""A train step of ResNet-50 and ViT-S/16: the harness's, and one written by hand.

Both use the same Linen module, adamw, batch and first params. The step by hand calls
`module.apply` itself and has optax's loss; the harness's goes through
`Workload.model_fn` and `loss_fn` (and measures the gradient's norm). They run in turns
in one process; the median over pairs of the ratio is printed.

The second figure is XLA's count of floating-point operations in the compiled step,
against a count by hand: three times the forward pass, without the gradient by the
images, and adamw. Beside convolutions and matrix products there is what happens number
by number.

  python benchmarks/vision_step.py --batch=8 --image=224
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from algoperf import losses
from algoperf.data import ArraySource
from algoperf.facts import DataFiles, Facts
from algoperf.jax_sharding_utils import replicate, shard_along_batch_dim
from algoperf.metrics import CLASSIFICATION
from algoperf.optax_submission import make_train_step
from algoperf.workload import Workload
from workloads.imagenet.resnet import ResNet, feed_resnet
from workloads.imagenet.vit import ViT, feed_vit

LEARNING_RATE = 1e-3
CLASSES, COLOURS = 1000, 3
# Of a number that is normalised: its part in the mean, and in the mean of squares (2),
# then less the mean, times the deviation's inverse, times the scale, plus the offset.
NORMALISE = 7
RELU, SUM = 1, 1
GELU = 9  # x / 2 (1 + tanh(c (x + d x^3)))
SOFTMAX = 5  # scaled, less the largest, its exponential, in the sum, divided by it
# Of a parameter: momentum 3, squares 4, both corrected 2, root, epsilon, quotient,
# decay 2, rate, sum.
ADAMW = 16
# Takes a step from where the last one ended; returns its loss.
Step = Callable[[], jax.Array]


def image_workload(name: str, batch_size: int, image: int) -> Workload:
    """The model as a workload of images that nobody reads from a disk."""
    model, forward = {
        "resnet50": (ResNet(), feed_resnet),
        "vit": (ViT(), feed_vit),
    }[name]
    facts = Facts(
        name=name,
        base=name,
        scale="mini",
        metric="accuracy",
        goal="max",
        validation_target=1.0,
        test_target=None,
        max_runtime_s=1,
        eval_period_steps=1,
        step_hint=1,
        loss="softmax_cross_entropy",
        batch_size=batch_size,
        eval_batch_size=batch_size,
        examples=dict.fromkeys(("train", "eval_train", "validation"), batch_size),
        data=DataFiles("random numbers"),
    )
    return Workload(
        facts=facts,
        model=model,
        example_batch={
            "inputs": jax.ShapeDtypeStruct((1, image, image, COLOURS), jnp.float32),
            "targets": jax.ShapeDtypeStruct((1,), jnp.int32),
        },
        forward=forward,
        loss=losses.softmax_cross_entropy,
        metrics=CLASSIFICATION,
        data=ArraySource(dict, batch_size, lambda raw: raw),
    )


def step_by_hand(model: Any, optimizer: optax.GradientTransformation):
    """The jitted step, (params, model state, optimizer state, batch, key) -> same."""
    mode: dict[str, Any] = (
        {"use_running_average": False}
        if isinstance(model, ResNet)
        else {"train": True, "dropout_rate": 0.0}
    )

    def train_step(params, model_state, state, batch, rng):
        def mean_loss(params):
            logits, new_state = model.apply(
                {"params": params, **(model_state or {})},
                batch["inputs"],
                **mode,
                rngs={"dropout": rng},
                mutable=["batch_stats"],
            )
            loss = optax.softmax_cross_entropy_with_integer_labels(
                logits, batch["targets"]
            )
            return loss.mean(), new_state or None

        (loss, new_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), new_state, state, {"loss": loss}

    return jax.jit(train_step, donate_argnums=(0, 1, 2))


def compiled(
    train_step: Any,
    workload: Workload,
    optimizer: optax.GradientTransformation,
    batch: Any,
) -> tuple[Step, float]:
    """The step as a function that goes on from its last result, and XLA's flops."""
    key = jax.random.PRNGKey(1)
    params, model_state = workload.init_model_fn(jax.random.PRNGKey(0))
    state = replicate(jax.jit(optimizer.init)(params))
    program = train_step.lower(params, model_state, state, batch, key).compile()

    def step() -> jax.Array:
        nonlocal params, model_state, state
        params, model_state, state, logged = program(
            params, model_state, state, batch, key
        )
        return jax.block_until_ready(logged["loss"])

    return step, program.cost_analysis()["flops"]


def convolution_flops(
    image: int, kernel: int, stride: int, inputs: int, outputs: int, explicit: bool
) -> tuple[float, int]:
    """(flops, size of the output) of one square image; zeros outside do not count.

    Padding is (kernel - 1) / 2 on either side if `explicit`, else "SAME".
    """
    size = -(-image // stride)
    needed = max((size - 1) * stride + kernel - image, 0)
    low = kernel // 2 if explicit else needed // 2
    first = np.arange(size)[:, None] * stride - low
    taps = first + np.arange(kernel)
    inside = int(np.sum((taps >= 0) & (taps < image)))
    return 2.0 * inside**2 * inputs * outputs, size


def resnet50_flops(image: int) -> float:
    """A train step but for adamw, per image."""
    first, size = convolution_flops(image, 7, 2, COLOURS, 64, explicit=True)
    forward, channels = first + 64 * size**2 * (NORMALISE + RELU), 64
    size = -(-size // 2)  # the maximum over 3x3 with stride 2
    forward += 9 * 64 * size**2
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for i in range(blocks):
            stride = 2 if stage > 0 and i == 0 else 1
            layers = [
                (size, 1, 1, channels, width),
                (size, 3, stride, width, width),
                (-(-size // stride), 1, 1, width, 4 * width),
            ]
            if i == 0:
                layers.append((size, 1, stride, channels, 4 * width))
            for layer in layers:
                flops, side = convolution_flops(*layer, explicit=False)
                # A ReLU follows each, where the last two are summed before it.
                forward += flops + layer[-1] * side**2 * (NORMALISE + RELU)
            channels, size = 4 * width, -(-size // stride)
    forward += 2 * channels * CLASSES
    return 3 * forward - first


def vit_flops(image: int) -> float:
    """A train step of ViT-S/16 but for adamw, per image."""
    width, mlp, patch, depth, heads = 384, 1536, 16, 12, 6
    tokens = (image // patch) ** 2
    first = 2 * tokens * patch**2 * COLOURS * width
    projections = 4 * 2 * tokens * width**2
    attention = 2 * 2 * tokens**2 * width
    feed_forward = 2 * 2 * tokens * width * mlp
    forward = first + depth * (projections + attention + feed_forward)
    forward += 2 * width * width + 2 * width * CLASSES
    # Two normalisations, six biases and two sums a block.
    by_token = 2 * NORMALISE * width + (6 + 2) * SUM * width + (GELU + SUM) * mlp
    forward += depth * (tokens * by_token + SOFTMAX * heads * tokens**2)
    return 3 * forward - first


def in_pairs(
    by_hand: Callable[[], Any], ours: Callable[[], Any], rounds: int
) -> list[tuple[float, float]]:
    """Seconds of both, in turns, once a round."""
    pairs = []
    for i in range(rounds):
        # Who goes first alternates, so that drift of the machine hits both.
        seconds = {}
        for step in (by_hand, ours) if i % 2 else (ours, by_hand):
            start = time.perf_counter()
            step()
            seconds[step] = time.perf_counter() - start
        pairs.append((seconds[by_hand], seconds[ours]))
    return pairs


def measure(name: str, batch_size: int, image: int, rounds: int) -> None:
    """Times the two steps in turns, counts, and prints a line."""
    workload = image_workload(name, batch_size, image)
    random = np.random.default_rng(0)
    shape = (batch_size, image, image, COLOURS)
    batch = shard_along_batch_dim(
        {
            "inputs": random.normal(size=shape).astype(np.float32),
            "targets": random.integers(CLASSES, size=batch_size).astype(np.int32),
        }
    )
    optimizer = optax.adamw(LEARNING_RATE)
    train_step = make_train_step(workload, optimizer, None)
    ours, xla_flops = compiled(train_step, workload, optimizer, batch)
    by_hand, _ = compiled(
        step_by_hand(workload.model, optimizer), workload, optimizer, batch
    )
    # The first steps warm up, and show that both compute the same thing.
    np.testing.assert_allclose(ours(), by_hand(), rtol=1e-4)
    pairs = in_pairs(by_hand, ours, rounds)
    flops = {"resnet50": resnet50_flops, "vit": vit_flops}[name](image) * batch_size
    flops += ADAMW * workload.num_params
    xla_flops *= jax.device_count()  # XLA counts those of one device
    print(
        f"{name:<8} by hand {statistics.median(a for a, _ in pairs):7.3f} s/step, "
        f"harness {statistics.median(b for _, b in pairs):7.3f} s/step, "
        f"ratio {statistics.median(b / a for a, b in pairs):.3f}; XLA "
        f"{xla_flops / 1e9:.1f} GFLOP/step, counted {flops / 1e9:.1f}, "
        f"ratio {xla_flops / flops:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default="resnet50,vit")
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    parser.add_argument("--image", type=int, default=224, help="pixels a side")
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    device = jax.devices()[0].device_kind
    print(f"batch {flags.batch}, {flags.image} px, {flags.rounds} pairs on {device}")
    for name in flags.models.split(","):
        measure(name, flags.batch, flags.image, flags.rounds)


if __name__ == "__main__":
    main()
