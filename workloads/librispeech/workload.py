"""librispeech_conformer, librispeech_deepspeech and variants; small ones of generated
speech."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import linen as nn

from algoperf.data import DataSource
from algoperf.data_options import DataOptions
from algoperf.eval_cache import EvalCache
from algoperf.facts import Facts, UserError
from algoperf.workload import Workload, first_of_two
from workloads.librispeech.conformer import Conformer
from workloads.librispeech.ctc import ctc_loss
from workloads.librispeech.data import (
    MAX_SAMPLES,
    MAX_TOKENS,
    LibriSpeech,
    random_speech,
    unpacked,
)
from workloads.librispeech.deepspeech import DeepSpeech
from workloads.librispeech.encoder_input import feed_speech
from workloads.librispeech.facts import TOKENIZER_FILE
from workloads.librispeech.generated import GENERATED_SPEECH
from workloads.librispeech.metrics import speech_metrics
from workloads.librispeech.tokenizers import (
    NumberTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
)

DROPOUT_RATE = 0.1


def build_conformer(
    facts: Facts, folder: Path | None, options: DataOptions
) -> Workload:
    """AlgoPerf's Conformer, a variant of it, or a small one."""
    return _build(facts, Conformer(**facts.model), folder, options)


def build_deepspeech(
    facts: Facts, folder: Path | None, options: DataOptions
) -> Workload:
    """AlgoPerf's DeepSpeech, a variant of it, or a small one."""
    return _build(facts, DeepSpeech(**facts.model), folder, options)


def speech_workload(
    facts: Facts,
    model: nn.Module,
    data: DataSource,
    tokenizer: Tokenizer,
    max_samples: int = MAX_SAMPLES,
    max_tokens: int = MAX_TOKENS,
) -> Workload:
    """A workload that transcribes speech; `data` delivers packed batches."""
    audio = jax.ShapeDtypeStruct((1, max_samples), jnp.float32)
    tokens = jax.ShapeDtypeStruct((1, max_tokens), jnp.float32)
    return Workload(
        facts=facts,
        model=model,
        example_batch={"inputs": (audio, audio), "targets": (tokens, tokens)},
        forward=feed_speech,
        loss=ctc_loss,
        metrics=speech_metrics(tokenizer),
        data=data,
        finish=unpacked,
        init_key=first_of_two,
        output_params=("Dense_0",),
        default_dropout_rate=DROPOUT_RATE,
    )


def _build(
    facts: Facts,
    model: Conformer | DeepSpeech,
    folder: Path | None,
    options: DataOptions,
) -> Workload:
    if options.random:
        tokenizer = NumberTokenizer(model.vocab_size)
        return speech_workload(facts, model, random_speech(model.vocab_size), tokenizer)
    if folder is None:
        generated = GENERATED_SPEECH
        _check_vocabulary(facts, model, generated.tokenizer, "generated sentences")
        return speech_workload(
            facts,
            model,
            generated.source(facts.examples),
            generated.tokenizer,
            generated.max_samples,
            generated.max_tokens,
        )
    path = folder / TOKENIZER_FILE
    tokenizer = SentencePieceTokenizer(path)
    _check_vocabulary(facts, model, tokenizer, str(path))
    data = LibriSpeech(folder, facts.examples, tokenizer, options)
    return speech_workload(
        facts, model, EvalCache(data, options.eval_cache_bytes), tokenizer
    )


def _check_vocabulary(
    facts: Facts, model: Conformer | DeepSpeech, tokenizer: Tokenizer, where: str
) -> None:
    if tokenizer.vocab_size != model.vocab_size:
        raise UserError(
            f"{where} has {tokenizer.vocab_size:,} pieces, and the model of "
            f"{facts.name} has vocab_size {model.vocab_size:,}; they must be equal. "
            "Prepare the data set again, or change the workload's facts."
        )
