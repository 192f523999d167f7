"""The language model: its train step, its loss, and how fast its tokens are read.

Three figures, both sides of each in this process, in turns; medians over pairs.

- A train step of the harness against one written by hand of the same module, adamw,
  batch and first params, whose loss is optax's on float32 logits.
- The loss of bfloat16 logits and its gradient: `token_cross_entropy` against optax on
  the logits in float32. Memory is what XLA plans besides arguments and results.
- Tokens a second and core from a flat memory-mapped file, and from text by GPT-2's
  tokenizer if --tokenizer names a folder with its two files.

  python benchmarks/text_lm.py
"""

import argparse
import statistics
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
from vision_step import compiled

from algoperf.data_options import DataOptions
from algoperf.jax_sharding_utils import shard_along_batch_dim
from algoperf.optax_submission import make_train_step
from algoperf.token_losses import token_cross_entropy
from workloads.catalog import CATALOG
from workloads.fineweb.addresses import load_addresses
from workloads.fineweb.data import TokenSequences
from workloads.fineweb.files import open_stream
from workloads.fineweb.gpt2 import ENCODER_JSON, VOCAB_BPE, load_gpt2
from workloads.loading import build

VOCAB_SIZE = 50_257
LEARNING_RATE = 1e-3
Call = Callable[[], Any]


def pairs_of(first: Call, second: Call, rounds: int) -> list[tuple[float, float]]:
    """Seconds of both, `rounds` times; who goes first alternates."""
    pairs = []
    for i in range(rounds):
        seconds = {}
        for call in (first, second) if i % 2 else (second, first):
            start = time.perf_counter()
            jax.block_until_ready(call())
            seconds[call] = time.perf_counter() - start
        pairs.append((seconds[first], seconds[second]))
    return pairs


def ratio(pairs: list[tuple[float, float]]) -> float:
    """The median of second / first."""
    return statistics.median(b / a for a, b in pairs)


def step_by_hand(model: Any, optimizer: optax.GradientTransformation) -> Any:
    """The jitted step, (params, model state, optimizer state, batch, key) -> same."""

    def train_step(params, model_state, state, batch, rng):
        del rng

        def mean_loss(params):
            logits = model.apply({"params": params}, batch["inputs"])
            return optax.softmax_cross_entropy_with_integer_labels(
                logits.astype(jnp.float32), batch["targets"]
            ).mean()

        loss, grads = jax.value_and_grad(mean_loss)(params)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return params, model_state, state, {"loss": loss}

    return jax.jit(train_step, donate_argnums=(0, 1, 2))


def measure_step(fields: dict[str, Any], batch_size: int, rounds: int) -> None:
    """Times the harness's step and the one by hand."""
    mini = CATALOG["finewebedu_lm_mini"]
    facts = replace(mini, model=dict(mini.model) | fields)
    workload = build(facts, None, DataOptions())
    batch = shard_along_batch_dim(next(workload.data.batches("train", batch_size, 0)))
    optimizer = optax.adamw(LEARNING_RATE)
    ours, _ = compiled(
        make_train_step(workload, optimizer, None), workload, optimizer, batch
    )
    by_hand, _ = compiled(
        step_by_hand(workload.model, optimizer), workload, optimizer, batch
    )
    # The first steps warm up, and show that both compute the same thing.
    np.testing.assert_allclose(ours(), by_hand(), rtol=1e-3)
    pairs = pairs_of(by_hand, ours, rounds)
    print(
        f"step, {dict(facts.model)}: by hand "
        f"{1e3 * statistics.median(a for a, _ in pairs):.1f} ms, harness "
        f"{1e3 * statistics.median(b for _, b in pairs):.1f} ms, ratio "
        f"{ratio(pairs):.3f}"
    )


def measure_loss(tokens: int, rounds: int) -> None:
    """Memory and time of the loss of bfloat16 logits, with its gradient."""
    shape = (tokens // 128, 128, VOCAB_SIZE)
    random = np.random.default_rng(0)
    labels = jnp.asarray(random.integers(VOCAB_SIZE, size=shape[:2]))
    logits = jnp.asarray(random.standard_normal(shape, np.float32), jnp.bfloat16)

    def plain(logits):
        return optax.softmax_cross_entropy_with_integer_labels(
            logits.astype(jnp.float32), labels
        ).sum()

    def ours(logits):
        return token_cross_entropy(labels, logits)["summed"]

    programs = [
        jax.jit(jax.value_and_grad(loss)).lower(logits).compile()
        for loss in (plain, ours)
    ]
    values = [float(program(logits)[0]) for program in programs]
    np.testing.assert_allclose(*values, rtol=1e-5)
    extra, peak = [], []
    for program in programs:
        memory: Any = program.memory_analysis()
        extra.append(memory.temp_size_in_bytes / 1e6)
        arguments = memory.argument_size_in_bytes + memory.output_size_in_bytes
        peak.append(extra[-1] + arguments / 1e6)
    first, second = programs
    pairs = pairs_of(lambda: first(logits), lambda: second(logits), rounds)
    print(
        f"loss of {tokens:,} x {VOCAB_SIZE:,} bfloat16 logits and its gradient: "
        f"temporary memory {extra[0]:,.1f} MB plain, {extra[1]:,.1f} MB ours; with "
        f"logits and gradient {peak[0]:,.0f} MB and {peak[1]:,.0f} MB, "
        f"{peak[0] / peak[1]:.1f} times less; time ratio {ratio(pairs):.2f}"
    )


def measure_reading(sequences: int) -> None:
    """Tokens a second of training batches, from a flat file in the page cache."""
    facts = CATALOG["finewebedu_lm"]
    length = 1_024
    with tempfile.TemporaryDirectory() as name:
        random = np.random.default_rng(0)
        tokens = random.integers(VOCAB_SIZE, size=sequences * (length + 1))
        tokens.astype("<u2").tofile(Path(name) / "train.bin")
        source = TokenSequences(
            lambda split: open_stream(Path(name), split),
            {"train": sequences},
            length,
            VOCAB_SIZE,
        )
        batches = source.batches("train", facts.batch_size, seed=0)
        next(batches)
        count = sequences // facts.batch_size
        start = time.process_time()
        for _ in range(count):
            next(batches)
        rate = count * facts.batch_size * length / (time.process_time() - start)
    print(f"reading: {rate / 1e6:.1f} M tokens a second and core")


def measure_tokenising(folder: Path) -> None:
    """Tokens a second of GPT-2's tokenizer on one core, on the bundled text."""
    encoding = load_gpt2(folder / VOCAB_BPE, folder / ENCODER_JSON)
    documents = load_addresses()
    start = time.process_time()
    count = sum(len(encoding.encode_ordinary(text)) for text in documents)
    rate = count / (time.process_time() - start)
    print(f"tokenising: {rate / 1e6:.2f} M tokens a second and core")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=1_024, help="of the loss")
    parser.add_argument("--sequences", type=int, default=20_000, help="to read from")
    parser.add_argument("--tokenizer", type=Path, help="folder of GPT-2's two files")
    flags = parser.parse_args()
    print(f"on {jax.devices()[0].device_kind}")
    measure_step({}, 16, flags.rounds)
    measure_step({"width": 256, "mlp_dim": 1_024}, 16, max(flags.rounds // 5, 3))
    measure_loss(flags.tokens, max(flags.rounds // 5, 3))
    measure_reading(flags.sequences)
    if flags.tokenizer:
        measure_tokenising(flags.tokenizer)


if __name__ == "__main__":
    main()
