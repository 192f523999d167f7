"""Click logs: parsing, reading, the train step of DLRM, its memory, and evaluation.

The train step of the harness and a plain one (Linen and optax, with nothing of the
package in it) have the same parameters and run in turns in one process. What its
embedding costs is the step's time without that of a step that leaves the table as it
is. Memory is that of the whole model, as XLA plans it: nothing of it is allocated.

  python benchmarks/clicks.py --batch=8192 --vocabulary=65536
"""

import argparse
import collections
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from speech import in_turns

from algoperf.data import Batches
from algoperf.data_options import DataOptions
from algoperf.facts import EVAL_SPLITS, Facts, Split
from algoperf.optax_submission import make_train_step
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.criteo.data import ClickLogs
from workloads.criteo.rows import NUM_COLUMNS, ROW_BYTES
from workloads.criteo.text import parse
from workloads.criteo.workload import build

OPTIMIZER = optax.adamw(1e-3)
KEY = jax.random.PRNGKey(0)
TEXT_ROWS = 30_000
SHARE_ALLOWED = 0.1
# Seconds between evaluations: AlgoPerf on 8 V100, and as run on 4 A100.
EVAL_PERIODS_S = (120, 356)


class PlainDLRM(nn.Module):
    """DLRM-small from its description alone."""

    vocabulary: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        counts, ids = features[:, :13], features[:, 13:].astype(jnp.int32)
        table = self.param(
            "embedding_table",
            nn.initializers.uniform(1 / np.sqrt(self.vocabulary)),
            (self.vocabulary, 128),
        )
        x: Any = counts
        for width in (512, 256, 128):
            x = nn.relu(
                nn.Dense(
                    width,
                    kernel_init=nn.initializers.glorot_uniform(),
                    bias_init=nn.initializers.normal(np.sqrt(1 / width)),
                )(x)
            )
        rows = jnp.reshape(table[jnp.reshape(ids % self.vocabulary, -1)], (-1, 26, 128))
        vectors = jnp.concatenate([x[:, None], rows], axis=1)
        products = jnp.matmul(vectors, jnp.transpose(vectors, (0, 2, 1)))
        upper = np.triu_indices(27)
        x = jnp.concatenate([x, products[:, upper[0], upper[1]]], axis=1)
        for width in (1024, 1024, 512, 256, 1):
            x = nn.Dense(
                width,
                kernel_init=nn.initializers.normal(np.sqrt(2 / (x.shape[1] + width))),
                bias_init=nn.initializers.normal(np.sqrt(1 / width)),
            )(x)
            x = nn.relu(x) if width > 1 else x
        return x


def plain_step(vocabulary: int):
    """A jitted step (params, state, batch) -> (params, state, loss)."""
    model = PlainDLRM(vocabulary)

    def step(params, state, batch):
        def mean_loss(params):
            logits: Any = model.apply({"params": params}, batch["inputs"])
            losses = optax.sigmoid_binary_cross_entropy(
                logits[..., 0], batch["targets"]
            )
            return losses.mean()

        loss, grads = jax.value_and_grad(mean_loss)(params)
        updates, state = OPTIMIZER.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return jax.jit(step, donate_argnums=(0, 1))


def frozen_step(workload: Workload):
    """The plain step over the model, but for the embedding, which stays."""

    def step(params, state, table, batch):
        def mean_loss(params):
            logits = workload.model.apply(
                {"params": {**params, "embedding_table": table}}, batch["inputs"]
            )
            return workload.loss_fn(batch["targets"], logits)["per_example"].mean()

        loss, grads = jax.value_and_grad(mean_loss)(params)
        updates, state = OPTIMIZER.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return jax.jit(step, donate_argnums=(0, 1))


def running(step: Callable[..., tuple], params: Any, *rest: Any) -> Callable[[], Any]:
    """A step as a function that goes on from its last result, and returns the loss."""
    carried = jax.tree.map(jnp.copy, (params, OPTIMIZER.init(params)))

    def once() -> jax.Array:
        nonlocal carried
        *new, loss = step(*carried, *rest)
        carried = tuple(new)
        return loss

    return once


def harness_step(workload: Workload):
    """The harness's step in the order of the plain one."""
    step = make_train_step(workload, OPTIMIZER, None)

    def plain_order(params, state, batch):
        params, _, state, logged = step(params, None, state, batch, KEY)
        return params, state, logged["loss"]

    return plain_order


def time_steps(workload: Workload, batch_size: int, rounds: int) -> None:
    """Prints the ratio to the plain step, and the embedding's part."""
    batch = next(workload.batches("train", batch_size))
    params, _ = workload.init_model_fn(KEY)
    vocabulary = len(params["embedding_table"])
    others = {name: params[name] for name in params if name != "embedding_table"}
    table = params["embedding_table"]
    steps = {
        "plain": running(plain_step(vocabulary), params, batch),
        "harness": running(harness_step(workload), params, batch),
        "frozen": running(frozen_step(workload), others, table, batch),
    }
    # Both begin with the same parameters, and compute the same.
    np.testing.assert_allclose(steps["harness"](), steps["plain"](), rtol=1e-4)
    seconds = in_turns(steps, rounds)
    share = 1 - seconds["frozen"] / seconds["harness"]
    print(
        f"train step, {batch_size:,} rows, table {vocabulary:,} x 128: "
        f"plain {seconds['plain']:.3f} s, harness {seconds['harness']:.3f} s, "
        f"ratio {seconds['harness'] / seconds['plain']:.3f}; "
        f"gradient and update of the table: {share:.0%}"
    )


def plan_memory(facts: Facts) -> None:
    """Prints what XLA plans for a step of the whole model, on one device."""
    workload = build(facts, None, DataOptions(random=True))
    params = jax.eval_shape(workload.init_model_fn, KEY)[0]
    state = jax.eval_shape(OPTIMIZER.init, params)
    batch = {
        name: jax.ShapeDtypeStruct((facts.batch_size, *leaf.shape[1:]), leaf.dtype)
        for name, leaf in workload.example_batch.items()
    }
    step = make_train_step(workload, OPTIMIZER, None)
    plan = step.lower(params, None, state, batch, KEY).compile().memory_analysis()
    params_gb = 4e-9 * workload.num_params
    print(
        f"memory, {facts.name}, {facts.batch_size:,} rows: params {params_gb:.2f} GB, "
        f"with gradient and two moments {4 * params_gb:.2f} GB; XLA plans "
        f"{plan.argument_size_in_bytes / 1e9:.2f} GB for params, moments and batch, "
        f"and {plan.temp_size_in_bytes / 1e9:.2f} GB for gradients and activations"
    )


def log_text() -> bytes:
    """Lines as long as Criteo's, with a tenth of all fields missing."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 300, (TEXT_ROWS, 13)).astype(np.str_)
    hashes = rng.zipf(1.2, (TEXT_ROWS, 26)) % 1_000_003 * 2_654_435_761 % 2**32
    categories = np.strings.mod("%08x", hashes)
    fields = np.concatenate([counts, categories], axis=1)
    fields[rng.random(fields.shape) < 0.1] = ""
    return b"".join(b"0\t" + "\t".join(line).encode() + b"\n" for line in fields)


def time_parsing() -> None:
    """Prints rows a second, by one thread."""
    text = log_text()
    work = {"parse": lambda: parse(text, Path("day_0"))}
    seconds = in_turns(work, rounds=9)["parse"]
    print(
        f"parsing {len(text) / TEXT_ROWS:.0f} bytes a row: "
        f"{TEXT_ROWS / seconds:,.0f} rows/s on one core"
    )


def time_reading(facts: Facts, num_rows: int, threads: int) -> float:
    """Prints rows a second from files in memory; returns those of an evaluation."""
    rate = 0.0
    batch_sizes: dict[Split, int] = {
        "train": facts.batch_size,
        "validation": facts.eval_batch_size,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split in batch_sizes:
            (folder / split).mkdir()
            part = np.zeros((num_rows // 4, NUM_COLUMNS), np.uint32)
            for number in range(4):
                np.save(folder / split / f"day_{number:02d}.npy", part)
        rows = dict.fromkeys(batch_sizes, num_rows // 4 * 4)
        source = ClickLogs(folder, rows, DataOptions(threads=threads))
        for split, batch_size in batch_sizes.items():
            count = num_rows // batch_size
            read(source.batches(split, batch_size, seed=0), count)  # from the disk
            batches = source.batches(split, batch_size, seed=0)
            start, cpu_start = time.perf_counter(), time.process_time()
            read(batches, count)
            rate = count * batch_size / (time.perf_counter() - start)
            cpu_rate = count * batch_size / (time.process_time() - cpu_start)
            print(
                f"prepared rows of {ROW_BYTES} bytes, {split}, {threads} threads: "
                f"{rate:,.0f} rows/s; {cpu_rate:,.0f} a second of processor time"
            )
    return rate


def read(batches: Batches, count: int) -> None:
    """Takes so many batches."""
    collections.deque(itertools.islice(batches, count), maxlen=0)


def time_evaluation(
    workload: Workload, batch_size: int, rows_per_s: float, rounds: int
) -> None:
    """Prints what part of the training time an evaluation takes, as measured here."""
    params, state = workload.init_model_fn(KEY)
    batch = next(workload.batches("validation", batch_size))
    work = {"forward": lambda: workload.measure(params, state, batch, KEY)}
    forward = batch_size / in_turns(work, rounds)["forward"]
    total = sum(CATALOG["criteo1tb"].examples[split] for split in EVAL_SPLITS)
    print(
        f"an evaluation has {total:,} rows; here the model measures {forward:,.0f} "
        f"rows/s, and {rows_per_s:,.0f} rows/s are read"
    )
    for period_s in EVAL_PERIODS_S:
        reading = total / rows_per_s / period_s
        print(
            f"  every {period_s} s of training: {total / forward / period_s:.1%} of it "
            f"by the model on this machine, {reading:.1%} for reading; for "
            f"{SHARE_ALLOWED:.0%} in all it takes "
            f"{total / (SHARE_ALLOWED * period_s):,.0f} rows/s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=8_192, help="rows a step")
    parser.add_argument("--vocabulary", type=int, default=65_536)
    parser.add_argument("--rows", type=int, default=4_000_000, help="prepared ones")
    parser.add_argument("--threads", type=int, default=DataOptions().threads)
    parser.add_argument("--rounds", type=int, default=15)
    flags = parser.parse_args()
    facts = CATALOG["criteo1tb"]
    small = replace(facts, model={"vocab_size": flags.vocabulary})
    workload = build(small, None, DataOptions(random=True))
    time_parsing()
    rows_per_s = time_reading(facts, flags.rows, flags.threads)
    time_steps(workload, flags.batch, flags.rounds)
    time_evaluation(workload, flags.batch, rows_per_s, flags.rounds)
    plan_memory(facts)


if __name__ == "__main__":
    main()
