"""CTC loss and word error rates: decoded on the devices, compared on the host."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.metrics import Measurement, Metrics, summed_ratios
from algoperf.spec import Batch, ForwardPassMode, Workload
from workloads.librispeech.ctc import greedy_decode
from workloads.librispeech.tokenizers import Tokenizer
from workloads.librispeech.wer import detokenized, word_error_rates


def speech_metrics(tokenizer: Tokenizer) -> Metrics:
    """`ctc_loss` per token, `wer` (AlgoPerf's), and `wer_strict` (the usual one).

    Sums are over all utterances of a split whose weight is not 0. A padded row counts
    nothing, not even the words that AlgoPerf's metric adds to every utterance.
    """

    def summarize(measurements: Sequence[Measurement]) -> dict[str, float]:
        losses = [{"ctc_loss": part["ctc_loss"]} for part in measurements]
        references, hypotheses = (
            _texts([(*part[side], part["weights"]) for part in measurements], tokenizer)
            for side in ("references", "hypotheses")
        )
        return summed_ratios(losses) | word_error_rates(references, hypotheses)

    return Metrics(measure_speech, summarize)


def measure_speech(
    workload: Workload, params: Any, model_state: Any, batch: Batch, rng: jax.Array
) -> Measurement:
    """Loss, and pieces int32 [batch, piece] with their number [batch] of both sides.

    `batch` has `inputs` and `targets`, each with its paddings, and `weights` [batch].
    """
    (logits, paddings), _ = workload.model_fn(
        params,
        batch,
        model_state,
        ForwardPassMode.EVAL,
        rng,
        update_batch_norm=False,
    )
    tokens, token_paddings = batch["targets"]
    weights = batch["weights"]
    loss = workload.loss_fn(batch["targets"], (logits, paddings), weights)
    return {
        "ctc_loss": (loss["summed"], loss["n_valid_examples"]),
        "hypotheses": greedy_decode(logits, paddings),
        "references": (
            tokens.astype(jnp.int32),
            jnp.sum(1 - token_paddings, axis=1).astype(jnp.int32),
        ),
        "weights": weights,
    }


def _texts(
    parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], tokenizer: Tokenizer
) -> list[str]:
    """Texts of the utterances whose weight is not 0."""
    return [
        text
        for pieces, lengths, weights in parts
        for text in detokenized(
            pieces[weights > 0], lengths[weights > 0], tokenizer.decode_all
        )
    ]
