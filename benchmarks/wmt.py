"""wmt's train step and beam search, against straightforward ones; and its packing.

step: the harness's (`Workload.model_fn`, `loss_fn`) and one by hand that calls
`module.apply` itself and has optax's loss: same module, adamw, batch, first params.
search: the bundled one, whose cache is made once and grows by a position a step, and
a loop that rebuilds it: every step runs the whole decoder over all that is decoded so
far, keys and values of the source included. Both find the same translations.
They run in turns in one process; the median over pairs of the ratio is printed.
packing: tokens of sources and targets a second of one core, from mapped files.
tokenizing: the same from shards of TFDS to such files, with what `prepare` does.

  python benchmarks/wmt.py --parts=step,search,packing,tokenizing
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

from algoperf.data_options import DataOptions
from algoperf.facts import Facts
from algoperf.jax_sharding_utils import replicate
from algoperf.optax_submission import make_train_step
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.tfds_layout import example_type, shard_name, write_info, write_records
from workloads.wmt import phrases, tokens
from workloads.wmt.beam_search import beam_search
from workloads.wmt.data import Translations
from workloads.wmt.metrics import BEAMS, LENGTH_PENALTY, translate
from workloads.wmt.parallel_text import LANGUAGES, tfds_pieces
from workloads.wmt.prepare import HOME_17, trained_model, write_tokens
from workloads.wmt.tokenizers import END, MODEL_NAME
from workloads.wmt.workload import ROW_LENGTH, build

LEARNING_RATE = 1e-3
TRAINING_STEPS = 300  # before the search: an untrained model never ends a sentence
VOCABULARY = 250  # pieces of the generated language
Timed = Callable[[], Any]


def in_turns(
    by_hand: Timed, ours: Timed, rounds: int, clock: Callable[[], float]
) -> tuple[float, float, float]:
    """Median seconds of both, and of their ratio by hand / ours."""
    pairs = []
    for i in range(rounds):
        # Who goes first alternates, so that drift of the machine hits both.
        seconds = {}
        for call in (by_hand, ours) if i % 2 else (ours, by_hand):
            start = clock()
            jax.block_until_ready(call())
            seconds[call] = clock() - start
        pairs.append((seconds[by_hand], seconds[ours]))
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def facts_of(flags: argparse.Namespace) -> Facts:
    """wmt, or wmt_mini with another batch size."""
    return replace(CATALOG[flags.workload], batch_size=flags.batch)


def step_by_hand(model: Any, optimizer: optax.GradientTransformation):
    """The jitted step, (params, model state, optimizer state, batch, key) -> same."""

    def train_step(params, model_state, state, batch, rng):
        def mean_loss(params):
            logits = model.apply(
                {"params": params},
                *(batch[name] for name in ("inputs", "targets")),
                **{name: batch[name] for name in batch if "_" in name},
                train=True,
                dropout_rate=0.1,
                rngs={"dropout": rng},
            )
            per_token = optax.softmax_cross_entropy_with_integer_labels(
                logits, batch["targets"]
            )
            weights = batch["weights"]
            return jnp.sum(per_token * weights) / jnp.sum(weights)

        loss, grads = jax.value_and_grad(mean_loss)(params)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return params, model_state, state, {"loss": loss}

    return jax.jit(train_step, donate_argnums=(0, 1, 2))


def stepper(train_step: Any, workload: Workload, optimizer: Any, batch: Any) -> Timed:
    """The step as a function that goes on from its last result."""
    key = jax.random.PRNGKey(1)
    params, model_state = workload.init_model_fn(jax.random.PRNGKey(0))
    state = replicate(jax.jit(optimizer.init)(params))

    def step() -> jax.Array:
        nonlocal params, model_state, state
        params, model_state, state, logged = train_step(
            params, model_state, state, batch, key
        )
        return logged["loss"]

    return step


def measure_step(workload: Workload, rounds: int, clock: Callable[[], float]) -> None:
    batch = next(workload.batches("train", workload.facts.batch_size))
    optimizer = optax.adamw(LEARNING_RATE)
    ours = stepper(
        make_train_step(workload, optimizer, None), workload, optimizer, batch
    )
    by_hand = stepper(
        step_by_hand(workload.model, optimizer), workload, optimizer, batch
    )
    # The first steps compile, and show that both compute the same thing.
    np.testing.assert_allclose(ours(), by_hand(), rtol=1e-4)
    hand_s, ours_s, ratio = in_turns(by_hand, ours, rounds, clock)
    print(
        f"step     by hand {hand_s:.4f} s, harness {ours_s:.4f} s, "
        f"harness / by hand {1 / ratio:.3f}",
        flush=True,
    )


def rebuilding_search(workload: Workload, params: Any, inputs: jax.Array, length: int):
    """The same search with a step that decodes everything again."""
    model, variables = workload.model, {"params": params}
    batch = len(inputs)
    sources = jnp.repeat(inputs, BEAMS, axis=0)

    def step(last: jax.Array, index: jax.Array, read: jax.Array):
        at_index = jnp.arange(length) == index
        read = jnp.where(at_index[None, None], last[..., None], read)
        # The decoder shifts its targets: what it is to read goes one place back. What
        # is after the index does not matter, but a 0 would count as padding.
        targets = jnp.roll(read.reshape(-1, length), -1, axis=1)
        targets = jnp.where(jnp.arange(length)[None] < index, targets, 1)
        logits = model.apply(variables, sources, targets)
        here = jax.lax.dynamic_index_in_dim(logits, index, axis=1, keepdims=False)
        return here.reshape(batch, BEAMS, -1), read

    return beam_search(
        step,
        jnp.zeros((batch, BEAMS, length), jnp.int32),
        jnp.ones(batch, bool),
        length,
        beams=BEAMS,
        alpha=LENGTH_PENALTY,
        end=END,
    )


def measure_search(
    workload: Workload, rounds: int, sentences: int, clock: Callable[[], float]
) -> None:
    params = trained(workload)
    batch = next(workload.batches("validation", sentences))
    inputs, length = jnp.asarray(batch["inputs"]), batch["targets"].shape[1]
    wanted = jnp.ones(sentences, bool)
    ours = jax.jit(lambda p, x: translate(workload.model, p, x, length, wanted))
    by_hand = jax.jit(lambda p, x: rebuilding_search(workload, p, x, length))
    found, expected = np.asarray(ours(params, inputs)), by_hand(params, inputs)
    # Ties within rounding may be broken either way.
    agree = np.mean(np.all(found == expected, axis=1))
    assert agree > 0.95, f"only {agree:.0%} of the translations agree"
    hand_s, ours_s, ratio = in_turns(
        lambda: by_hand(params, inputs), lambda: ours(params, inputs), rounds, clock
    )
    count = np.count_nonzero(found)
    print(
        f"search   rebuilt {count / hand_s:,.0f} tokens/s, cached "
        f"{count / ours_s:,.0f} tokens/s, ratio {ratio:.1f} ({agree:.0%} of the "
        f"translations agree, {count / len(found):.1f} tokens on average)",
        flush=True,
    )


def trained(workload: Workload) -> Any:
    """Params after some steps of adam."""
    optimizer = optax.adam(3e-3)
    train_step = make_train_step(workload, optimizer, None)
    params, model_state = workload.init_model_fn(jax.random.PRNGKey(0))
    state = replicate(jax.jit(optimizer.init)(params))
    batches, key = workload.batches("train", 32), jax.random.PRNGKey(0)
    for i in range(TRAINING_STEPS):
        params, model_state, state, _ = train_step(
            params, model_state, state, next(batches), jax.random.fold_in(key, i)
        )
    return params


def measure_packing(count: int, batch_size: int) -> None:
    """Random pairs of the lengths that WMT17's have, about, in two files."""
    random, row_length = np.random.default_rng(0), ROW_LENGTH["full"]
    lengths = np.clip(random.lognormal(3.1, 0.6, 2 * count), 2, 400).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    words = random.integers(3, 32_000, offsets[-1]).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.pairs"
        tokens.write(path, tokens.Pairs(offsets, words), b"")
        start = time.perf_counter()
        parts = [tokens.read(path, b"", 32_000)]
        source = Translations(lambda split: parts, {}, row_length)
        batches = source.batches("train", batch_size, 0)
        next(batches)
        first_s = time.perf_counter() - start
        start, used, places = time.process_time(), 0, 0
        while time.process_time() - start < 3:
            batch = next(batches)
            used += np.count_nonzero(batch["inputs"]) + np.count_nonzero(
                batch["targets"]
            )
            places += 2 * batch["inputs"].size
        seconds = time.process_time() - start
    print(
        f"packing  {used / seconds / 1e6:.1f} M tokens/s; {used / places:.0%} of the "
        f"places are used; the first batch of {count:,} pairs took {first_s:.2f} s"
    )


def measure_tokenizing(count: int) -> None:
    """Sentences of the generated language, as TFDS has WMT's, in SentencePiece."""
    import tensorflow_datasets as tfds

    generated, decode = phrases.pairs("train", count, 0), phrases.tokenizer().decode

    def text(i: int, side: int) -> str:
        return decode(generated.sentence(i, side)[:-1].tolist())

    texts = [(text(i, 0), text(i, 1)) for i in range(count)]
    name, config, version = HOME_17.split("/")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / HOME_17
        home.mkdir(parents=True)
        write_records(home / shard_name(name, "train", 0, 1), map(serialized, texts))
        features = tfds.features.Translation(LANGUAGES)
        write_info(home, name, version, features, {"train": [(count, 1)]}, config)
        model = trained_model(iter(texts), VOCABULARY)
        (Path(folder) / MODEL_NAME).write_bytes(model)
        info = home / "dataset_info.json"
        (piece,) = tfds_pieces({f"{HOME_17}/{info.name}": info}, HOME_17, "train")
        start = time.process_time()
        path = Path(folder) / "train.pairs"
        write_tokens(Path(folder), VOCABULARY, piece, path)
        seconds = time.process_time() - start
        written = len(tokens.read(path, model, VOCABULARY).tokens)
    print(f"tokenizing {written / seconds / 1e3:,.0f} k tokens/s")


def serialized(pair: tuple[str, str]) -> bytes:
    """A record as TFDS has it."""
    example = example_type()()
    for language, text in zip(LANGUAGES, pair, strict=True):
        example.features.feature[language].bytes_list.value.append(text.encode())
    return example.SerializeToString()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", default="step,search,packing,tokenizing")
    parser.add_argument("--workload", default="wmt_mini", help="of step and search")
    parser.add_argument("--batch", type=int, default=32, help="rows a step")
    parser.add_argument("--sentences", type=int, default=32, help="translated at once")
    parser.add_argument("--pairs", type=int, default=1_000_000, help="packed")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--cpu_time", action="store_true", help="for a CPU that others use too"
    )
    flags = parser.parse_args()
    clock = time.process_time if flags.cpu_time else time.perf_counter
    facts = facts_of(flags)
    options = DataOptions(random=facts.scale == "full")
    workload = build(facts, None, options)
    print(f"{facts.name}, {flags.rounds} pairs on {jax.devices()[0].device_kind}")
    parts = flags.parts.split(",")
    if "step" in parts:
        measure_step(workload, flags.rounds, clock)
    if "search" in parts:
        measure_search(workload, flags.rounds, flags.sentences, clock)
    if "packing" in parts:
        measure_packing(flags.pairs, batch_size=128)
    if "tokenizing" in parts:
        measure_tokenizing(20_000)


if __name__ == "__main__":
    main()
