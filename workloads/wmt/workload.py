"""wmt and its variants; small ones of generated sentences."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf import losses
from algoperf.data import DataSource
from algoperf.data_options import DataOptions
from algoperf.facts import Facts, Split, UserError
from algoperf.random_data import FirstBatch
from algoperf.workload import Workload, first_of_two
from workloads.wmt import phrases, tokens
from workloads.wmt.data import Translations
from workloads.wmt.metrics import translation_metrics
from workloads.wmt.tokenizers import (
    END,
    MODEL_NAME,
    NUM_SPECIAL,
    Numbers,
    SentencePiece,
)
from workloads.wmt.tokens import Pairs
from workloads.wmt.transformer import Transformer, feed_transformer

ROW_LENGTH = {"full": 256, "mini": 32}  # tokens
DROPOUT_RATE = 0.1
MINI_SEED = 2017  # of the generated sentences
RANDOM_PAIRS = 4_096


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """wmt, a variant of it, or a small one; without a folder it is generated data."""
    model = Transformer(**facts.model)
    row_length = ROW_LENGTH[facts.scale]
    tokenizer, data = _tokenizer_and_data(facts, model, folder, options, row_length)
    tokens_of_one = jax.ShapeDtypeStruct((1, row_length), jnp.int32)
    return Workload(
        facts=facts,
        model=model,
        example_batch={"inputs": tokens_of_one, "targets": tokens_of_one},
        forward=feed_transformer,
        loss=losses.softmax_cross_entropy,
        metrics=translation_metrics(model, tokenizer),
        data=data,
        init_key=first_of_two,
        output_params=("shared_embedding",),
        default_dropout_rate=DROPOUT_RATE,
    )


def _tokenizer_and_data(
    facts: Facts,
    model: Transformer,
    folder: Path | None,
    options: DataOptions,
    row_length: int,
) -> tuple[Any, DataSource]:
    if options.random:
        random = functools.partial(_random_pairs, model.vocab_size)
        source = Translations(random, facts.examples, row_length)
        return Numbers, FirstBatch(source)
    if folder is None:
        generated = functools.partial(_generated_pairs, facts)
        return phrases.tokenizer, Translations(generated, facts.examples, row_length)

    @functools.cache
    def tokenizer() -> SentencePiece:
        return SentencePiece(folder / MODEL_NAME, model.vocab_size)

    def prepared(split: Split) -> Sequence[Pairs]:
        return _prepared_pairs(facts, folder, tokenizer(), split)

    return tokenizer, Translations(prepared, facts.examples, row_length)


def _prepared_pairs(
    facts: Facts, folder: Path, tokenizer: SentencePiece, split: Split
) -> Sequence[Pairs]:
    paths = sorted(folder.glob(f"{tokens.FOLDER}/{split}-*{tokens.SUFFIX}"))
    parts = [tokens.read(path, tokenizer.model, tokenizer.vocab_size) for path in paths]
    found, wanted = sum(map(len, parts)), facts.examples[split]
    if found != wanted:
        raise UserError(
            f"{folder / tokens.FOLDER} has {found:,} pairs of sentences in {split}, "
            f"and should have {wanted:,}; prepare it again."
        )
    return parts


def _generated_pairs(facts: Facts, split: Split) -> Sequence[Pairs]:
    return [phrases.pairs(split, facts.examples[split], MINI_SEED)]


def _random_pairs(vocab_size: int, split: Split) -> Sequence[Pairs]:
    """Random tokens in sentences of usual lengths, the same for every split."""
    del split
    random = np.random.default_rng(0)
    lengths = random.integers(4, 64, 2 * RANDOM_PAIRS)
    words = [random.integers(NUM_SPECIAL, vocab_size, n) for n in lengths]
    return [tokens.in_memory([*sentence, END] for sentence in words)]
