"""fastMRI: its train step against one written by hand, the way to it, and similarity.

- step: the harness's train step on images that are there, and the same in stock Linen
  and optax, in turns in one process; the median over pairs of the ratio.
- finish: slices a second through mask, inverse transform and normalisation, of 640 x
  372 points to 320 x 320 pixels; and with the widths of a batch mixed.
- data: slices a second that are read from prepared files (made for this in a temporary
  folder), and from official ones.
- steady: mean and standard deviation of seconds per step over a trial's steps, reading
  prepared files on the way (a small model, or one that is not small with --large).
- ssim: similarity of 100 images of 320 x 320 pixels, against the time with SciPy's
  uniform filter.

  python benchmarks/mri.py --only=step,finish,ssim
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from scipy.ndimage import uniform_filter
from speech import in_turns
from vision_step import LEARNING_RATE, compiled

from algoperf.data_options import DataOptions
from algoperf.jax_sharding_utils import shard_along_batch_dim
from algoperf.optax_submission import make_train_step
from algoperf.prepare.run import prepare
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.fastmri.files import IMAGE_SIZE
from workloads.fastmri.kspace import prepare_slices
from workloads.fastmri.prepare import Sizes, preparation
from workloads.fastmri.ssim import structural_similarity
from workloads.fastmri.workload import KSPACE, build

VOLUME_SLICES, VOLUMES = 8, 4  # of the files made here, for training
WARMUP_STEPS = 5


class ConvBlock(nn.Module):
    """Twice convolution, instance norm, leaky ReLU, dropout, with Flax's own layers."""

    channels: int

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.Conv(self.channels, (3, 3), use_bias=False)(x)
            x = nn.InstanceNorm(epsilon=1e-5, use_bias=False, use_scale=False)(x)
            x = nn.leaky_relu(x, 0.2)
            x = nn.Dropout(0.0, broadcast_dims=(1, 2), deterministic=False)(x)
        return x


class TransposeConvBlock(nn.Module):
    """Transposed convolution, instance norm, leaky ReLU."""

    channels: int

    @nn.compact
    def __call__(self, x):
        x = nn.ConvTranspose(self.channels, (2, 2), (2, 2), use_bias=False)(x)
        x = nn.InstanceNorm(epsilon=1e-5, use_bias=False, use_scale=False)(x)
        return nn.leaky_relu(x, 0.2)


class PlainUNet(nn.Module):
    """fastMRI's U-Net; its parameters have the names of the harness's."""

    @nn.compact
    def __call__(self, images):
        x, skips = images[..., None], []
        for channels in (32, 64, 128, 256):
            x = ConvBlock(channels)(x)
            skips.append(x)
            x = nn.avg_pool(x, (2, 2), (2, 2))
        x = ConvBlock(512)(x)
        for channels in (256, 128, 64, 32):
            x = TransposeConvBlock(channels)(x)
            x = ConvBlock(channels)(jnp.concatenate([x, skips.pop()], axis=-1))
        return nn.Conv(1, (1, 1))(x)[..., 0]


def step_by_hand(optimizer: optax.GradientTransformation):
    """The jitted step, (params, model state, optimizer state, batch, key) -> same."""
    model = PlainUNet()

    def train_step(params, model_state, state, batch, rng):
        def mean_loss(params):
            outputs = model.apply(
                {"params": params}, batch["inputs"], rngs={"dropout": rng}
            )
            return jnp.mean(jnp.abs(outputs - batch["targets"]))

        loss, grads = jax.value_and_grad(mean_loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), model_state, state, {"loss": loss}

    return jax.jit(train_step, donate_argnums=(0, 1, 2))


def compare_steps(batch_size: int, image: int, rounds: int) -> None:
    """Times both steps in turns."""
    workload = build(CATALOG["fastmri"], None, DataOptions(random=True))
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(2, batch_size, image, image)).astype("f4")
    batch = shard_along_batch_dim({"inputs": inputs, "targets": targets})
    optimizer = optax.adamw(LEARNING_RATE)
    by_harness = make_train_step(workload, optimizer, None)
    ours, _ = compiled(by_harness, workload, optimizer, batch)
    by_hand, _ = compiled(step_by_hand(optimizer), workload, optimizer, batch)
    # The first steps warm up, and show that both compute the same thing.
    np.testing.assert_allclose(ours(), by_hand(), rtol=1e-4)
    ratios, seconds = [], {ours: [], by_hand: []}
    for i in range(rounds):
        # Who goes first alternates, so that drift of the machine hits both.
        for step in (by_hand, ours) if i % 2 else (ours, by_hand):
            start = time.perf_counter()
            step()
            seconds[step].append(time.perf_counter() - start)
        ratios.append(seconds[ours][-1] / seconds[by_hand][-1])
    print(
        f"step, {batch_size} x {image} px: "
        f"by hand {statistics.median(seconds[by_hand]):.3f} s, "
        f"harness {statistics.median(seconds[ours]):.3f} s, "
        f"ratio {statistics.median(ratios):.3f}"
    )


def time_finish(batch_size: int, rounds: int) -> None:
    """Slices a second through `prepare_slices`, and parts by NumPy."""
    workload = build(CATALOG["fastmri"], None, DataOptions(random=True))
    raw = dict(next(workload.data.batches("train", batch_size, 0)))
    mixed = raw | {"num_columns": np.full(batch_size, KSPACE[1], np.int32)}
    alike = {name: leaf for name, leaf in raw.items() if name != "num_columns"}
    finish = jax.jit(prepare_slices)

    def by_numpy():
        kept = np.where(raw["keep"][:, None, :], raw["kspace"], 0)
        shifted = np.fft.ifftshift(kept, axes=(1, 2))
        image = np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(1, 2))
        top, left = ((n - IMAGE_SIZE) // 2 for n in KSPACE)
        image = np.abs(image[:, top : top + IMAGE_SIZE, left : left + IMAGE_SIZE])
        mean = image.mean(axis=(1, 2), keepdims=True)
        return (image - mean) / image.std(axis=(1, 2), keepdims=True)

    works = {
        "widths mixed": lambda: finish(mixed),
        "one width": lambda: finish(alike),
        "NumPy": by_numpy,
    }
    for name, seconds in in_turns(works, rounds).items():
        print(f"finish, {name}: {batch_size / seconds:.0f} slices/s")


def time_similarity(rounds: int) -> None:
    """Similarity of 100 images, ours and with SciPy's filter."""
    random = np.random.default_rng(0)
    images, others = random.uniform(size=(2, 100, IMAGE_SIZE, IMAGE_SIZE)).astype("f4")
    ours = jax.jit(structural_similarity)
    ranges = np.ones(100, np.float32)

    def by_scipy():
        def mean(x):
            return uniform_filter(x, 7, axes=(1, 2))[:, 3:-3, 3:-3]

        mx, my = mean(images), mean(others)
        vx, vy, vxy = (
            49 / 48 * (mean(product) - means)
            for product, means in (
                (images * images, mx * mx),
                (others * others, my * my),
                (images * others, mx * my),
            )
        )
        top = (2 * mx * my + 1e-4) * (2 * vxy + 9e-4)
        return np.mean(top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)), (1, 2))

    np.testing.assert_allclose(ours(images, others, ranges), by_scipy(), atol=1e-4)
    works = {"harness": lambda: ours(images, others, ranges), "SciPy": by_scipy}
    for name, seconds in in_turns(works, rounds).items():
        print(f"ssim of 100 slices, {name}: {seconds:.3f} s")


def knee_like(folder: Path) -> Path:
    """Official files with noise in them: four volumes to train on, two others."""
    random = np.random.default_rng(0)
    for name, volumes in (("train", VOLUMES), ("val", 101)):
        place = folder / f"singlecoil_{name}"
        place.mkdir(parents=True)
        for number in range(volumes):
            slices = VOLUME_SLICES if name == "train" else 1
            columns = KSPACE[1] - 4 * (number % 2)
            parts = random.standard_normal((slices, KSPACE[0], columns, 2), np.float32)
            images = random.random((slices, IMAGE_SIZE, IMAGE_SIZE), np.float32)
            with h5py.File(place / f"file{number:04}.h5", "w") as file:
                file["kspace"] = parts.view(np.complex64)[..., 0]
                file["reconstruction_esc"] = images
                file.attrs["max"] = float(images.max())
    return folder


def tiny_workload(folder: Path, **model: int) -> Workload:
    """fastmri on files made here."""
    train = VOLUMES * VOLUME_SLICES
    examples = {"train": train, "eval_train": 8, "validation": 100, "test": 1}
    facts = replace(CATALOG["fastmri"], examples=examples, model=model)
    return build(facts, folder, DataOptions())


def time_reading(official: Path, prepared: Path, batch_size: int, rounds: int) -> None:
    """Slices a second of both layouts, from the page cache."""

    def reading(folder: Path) -> Callable[[], Any]:
        data = tiny_workload(folder).data
        # Anew every time, or what was read ahead would count as read in no time.
        return lambda: list(itertools.islice(data.batches("train", batch_size, 0), 8))

    works = {"official": reading(official), "prepared": reading(prepared)}
    for name, seconds in in_turns(works, rounds).items():
        print(f"data, {name} files: {8 * batch_size / seconds:.0f} slices/s")


def time_steadiness(prepared: Path, batch_size: int, steps: int, large: bool) -> None:
    """The spread of seconds per step, data included, and on one batch without it."""
    model = {} if large else {"num_channels": 4, "num_pool_layers": 2}
    workload = tiny_workload(prepared, **model)
    optimizer = optax.adamw(LEARNING_RATE)
    train_step = make_train_step(workload, optimizer, None)
    params, model_state = workload.init_model_fn(jax.random.PRNGKey(0))
    state, key = jax.jit(optimizer.init)(params), jax.random.PRNGKey(1)
    batches = workload.batches("train", batch_size)
    alone = itertools.repeat(next(batches))
    seconds = {"read": [], "the same batch": []}
    # One after the other: in turns, readers would have twice the time for a batch.
    for name, source in (("read", batches), ("the same batch", alone)):
        for _ in range(steps + WARMUP_STEPS):
            start = time.perf_counter()
            batch = next(source)
            params, model_state, state, logs = train_step(
                params, model_state, state, batch, key
            )
            jax.block_until_ready(logs)
            seconds[name].append(time.perf_counter() - start)
    for name, measured in seconds.items():
        steady = measured[WARMUP_STEPS:]
        mean, spread = statistics.mean(steady), statistics.stdev(steady)
        print(
            f"steady, {steps} steps of {batch_size}, {name}: {mean:.4f} s a step, "
            f"standard deviation {spread / mean:.1%} of it"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="step,finish,data,steady,ssim")
    parser.add_argument("--batch", type=int, default=2, help="slices a train step")
    parser.add_argument(
        "--image", type=int, default=IMAGE_SIZE, help="step: pixels a side"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--large", action="store_true", help="steady: the full model")
    flags = parser.parse_args()
    wanted = set(flags.only.split(","))
    print(f"{flags.rounds} rounds on {jax.devices()[0].device_kind}")
    if "ssim" in wanted:
        time_similarity(flags.rounds)
    if "finish" in wanted:
        time_finish(8, flags.rounds)
    if "step" in wanted:
        compare_steps(flags.batch, flags.image, flags.rounds)
    if wanted & {"data", "steady"}:
        with tempfile.TemporaryDirectory() as folder:
            official, data = knee_like(Path(folder) / "official"), Path(folder)
            sizes = Sizes((VOLUMES, 101), (VOLUMES * VOLUME_SLICES, 101))
            prepare(preparation(sizes), official, data, lambda line: None)
            if "data" in wanted:
                time_reading(official, data / "fastmri", 8, flags.rounds)
            if "steady" in wanted:
                time_steadiness(data / "fastmri", flags.batch, flags.steps, flags.large)


if __name__ == "__main__":
    main()
