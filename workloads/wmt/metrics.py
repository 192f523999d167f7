"""wmt's metrics: loss and accuracy of tokens, and BLEU of what beam search finds."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from algoperf.facts import UserError
from algoperf.jax_sharding_utils import get_batch_dim_sharding
from algoperf.metrics import Measurement, Metrics, summed_ratios
from algoperf.spec import Batch, ForwardPassMode, Workload
from workloads.wmt.beam_search import beam_search
from workloads.wmt.tokenizers import END
from workloads.wmt.transformer import Transformer

BEAMS = 4
LENGTH_PENALTY = 0.6


class Decodes(Protocol):
    """A tokenizer, as far as metrics need it."""

    def decode(self, tokens: Sequence[int]) -> str: ...


def translation_metrics(
    model: Transformer, tokenizer: Callable[[], Decodes]
) -> Metrics:
    """`loss`, `accuracy` and `bleu`; the tokenizer is made when it is needed."""

    def summarize(measurements: Sequence[Measurement]) -> dict[str, float]:
        ratios = [{n: m[n] for n in ("loss", "accuracy")} for m in measurements]
        hypotheses, references = (
            np.concatenate([m[name][m["is_real"]] for m in measurements])
            for name in ("hypotheses", "references")
        )
        texts = [
            [text(tokenizer(), row) for row in rows]
            for rows in (hypotheses, references)
        ]
        return summed_ratios(ratios) | {"bleu": bleu(*texts)}

    return Metrics(functools.partial(measure, model), summarize)


def measure(
    model: Transformer,
    workload: Workload,
    params: Any,
    model_state: Any,
    batch: Batch,
    rng: jax.Array,
) -> Measurement:
    """Loss and accuracy per token, and translations of up to the rows' length.

    `batch` has `inputs`, `targets` and `weights` [batch, position], a sentence a row;
    rows without weights are padding.
    """
    logits, _ = workload.model_fn(
        params,
        batch,
        model_state,
        ForwardPassMode.EVAL,
        rng,
        update_batch_norm=False,
    )
    targets, weights = batch["targets"], batch["weights"]
    correct = jnp.argmax(logits, axis=-1) == targets
    loss = workload.loss_fn(targets, logits, weights)
    is_real = jnp.any(weights > 0, axis=1)
    return {
        "accuracy": (jnp.sum(correct * weights), weights.sum()),
        "loss": (loss["summed"], loss["n_valid_examples"]),
        "hypotheses": _translate_in_parts(
            model, params, batch["inputs"], targets.shape[1], is_real
        ),
        "references": targets,
        "is_real": is_real,
    }


def _translate_in_parts(
    model: Any, params: Any, inputs: jax.Array, length: int, wanted: jax.Array
) -> jax.Array:
    """`translate`, each device its own part of the batch.

    Left to itself XLA gathers the logits of all devices at every step to sort them.
    """
    sharding = get_batch_dim_sharding()
    search = jax.shard_map(
        lambda *arrays: translate(model, arrays[0], arrays[1], length, arrays[2]),
        mesh=sharding.mesh,
        in_specs=(PartitionSpec(), sharding.spec, sharding.spec),
        out_specs=sharding.spec,
        check_vma=False,  # the loop begins with constants
    )
    return search(params, inputs, wanted)


def translate(
    model: Any,
    params: Any,
    inputs: jax.Array,
    length: int,
    wanted: jax.Array,
    beams: int = BEAMS,
) -> jax.Array:
    """Translations [batch, length] of sources [batch, position]; see `beam_search`.

    Sources are encoded, and looked up by the decoder, once for all steps and beams.
    """
    variables = {"params": params}
    source = model.apply(variables, inputs, method=Transformer.encode)
    mask = (inputs > 0)[:, None, None, :]

    def step(tokens: jax.Array, index: jax.Array, cache: Any) -> tuple[jax.Array, Any]:
        return model.apply(
            variables, tokens, index, cache, source, mask, method=Transformer.step
        )

    return beam_search(
        step,
        model.empty_cache(len(inputs), beams, length),
        wanted,
        length,
        beams=beams,
        alpha=LENGTH_PENALTY,
        end=END,
    )


def text(tokenizer: Decodes, tokens: np.ndarray) -> str:
    """The text of a row: up to its first end, or all of it.

    AlgoPerf takes the first token alone where a hypothesis never ends. That is not
    kept: it is rare in a model that is near its target, and makes every other one
    look worse than it is.
    """
    ends = np.flatnonzero(tokens == END)
    used = np.flatnonzero(tokens)
    stop = ends[0] if len(ends) else (used[-1] + 1 if len(used) else 0)
    return tokenizer.decode([int(token) for token in tokens[:stop]])


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU in percent (Papineni et al. 2002): 4-grams, 13a tokens, case kept.

    0 where no n-gram of some order matches. AlgoPerf's own copy of sacrebleu smooths
    by a formula that does not change what matches, and gives 0 there too.

    Raises:
      UserError: sacrebleu is not installed.
    """
    try:
        # Here, and not above: building a workload does not need it.
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise UserError(
            f"BLEU needs sacrebleu ({error}); install it: pip install sacrebleu"
        ) from None
    # `force` takes sentences whose full stop is a word of its own without a warning.
    score = BLEU(smooth_method="none", force=True).corpus_score(
        list(hypotheses), [list(references)]
    )
    return float(score.score)
