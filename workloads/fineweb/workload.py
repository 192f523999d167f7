"""finewebedu_lm, and a small one on the addresses of US presidents."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.data import DataSource
from algoperf.data_options import DataOptions
from algoperf.facts import Facts
from algoperf.random_data import Drawn, RandomSource
from algoperf.token_losses import token_cross_entropy
from algoperf.workload import Workload, first_of_two
from workloads.fineweb.addresses import address_stream
from workloads.fineweb.data import TokenSequences
from workloads.fineweb.files import open_stream
from workloads.fineweb.metrics import PERPLEXITY
from workloads.fineweb.model import LanguageModel, feed_tokens


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """The workload of these facts; without a folder it reads the bundled text."""
    model = LanguageModel(**facts.model)
    token = jax.ShapeDtypeStruct((1, model.context_length), jnp.int32)
    return Workload(
        facts=facts,
        model=model,
        example_batch={"inputs": token, "targets": token},
        forward=feed_tokens,
        loss=token_cross_entropy,
        metrics=PERPLEXITY,
        data=_source(facts, folder, options, model),
        init_key=first_of_two,
        output_params=("embed",),  # shared with the input
    )


def _source(
    facts: Facts, folder: Path | None, options: DataOptions, model: LanguageModel
) -> DataSource:
    if options.random:
        tokens = Drawn((model.context_length,), np.int32, model.vocab_size)
        return RandomSource({"inputs": tokens, "targets": tokens})
    stream = functools.partial(open_stream, folder) if folder else address_stream
    return TokenSequences(
        stream, facts.examples, model.context_length, model.vocab_size
    )
