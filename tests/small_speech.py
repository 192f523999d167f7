"""Speech workloads with little of everything, on generated speech.

usage: python tests/small_speech.py EVAL_BATCH_SIZE ...

Prints, for each workload, what evaluations with these sizes measure, and what they
should measure ("by hand"): a line of JSON.
"""

import json
import sys
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from algoperf.data_options import DataOptions
from algoperf.evaluate import evaluate
from algoperf.facts import EVAL_SPLITS
from algoperf.spec import ForwardPassMode
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.librispeech.generated import GENERATED_SPEECH
from workloads.librispeech.wer import word_error_rates
from workloads.loading import build

EXAMPLES = {"train": 20, "eval_train": 7, "validation": 9, "test": 5}
_MODEL = {"encoder_dim": 8, "vocab_size": GENERATED_SPEECH.tokenizer.vocab_size}
_MODELS = {
    "librispeech_conformer_mini": _MODEL | {"num_blocks": 1, "num_heads": 2},
    "librispeech_deepspeech_mini": _MODEL
    | {"num_lstm_layers": 1, "num_feed_forward_layers": 1},
}
NAMES = tuple(_MODELS)


def small(name: str) -> Workload:
    """A mini speech workload with a smaller model and fewer examples."""
    facts = replace(CATALOG[name], examples=EXAMPLES, model=_MODELS[name])
    return build(facts, None, DataOptions(threads=1))


def perturbed(workload: Workload) -> tuple[Any, Any]:
    """Params and model state under which the model says much, and nonsense."""
    random = np.random.default_rng(0)
    params, state = workload.init_model_fn(jax.random.PRNGKey(0))
    params = jax.tree.map(
        lambda leaf: leaf + random.normal(0, 0.5, leaf.shape).astype(np.float32), params
    )
    # The likeliest piece is the blank often enough that hypotheses are short.
    bias = params["Dense_0"]["bias"]
    return params | {
        "Dense_0": params["Dense_0"] | {"bias": bias.at[0].add(2.0)}
    }, state


def by_hand(workload: Workload, params: Any, state: Any) -> dict[str, float]:
    """Loss and error rates of the logits of whole splits, decoded in Python."""
    decode_all, values = GENERATED_SPEECH.tokenizer.decode_all, {}
    for split, prefix in zip(EVAL_SPLITS, ("train", "validation", "test"), strict=True):
        packed = next(workload.data.batches(split, EXAMPLES[split], 0))
        assert workload.finish is not None
        batch = workload.finish(packed)
        (logits, paddings), _ = jax.jit(
            lambda params, state, batch: workload.model_fn(
                params, batch, state, ForwardPassMode.EVAL, jax.random.PRNGKey(0), False
            )
        )(params, state, batch)
        loss = workload.loss_fn(batch["targets"], (logits, paddings))
        texts = []
        for scores, padding in zip(*map(np.asarray, (logits, paddings)), strict=True):
            best = scores[padding < 1].argmax(axis=1).tolist()
            kept = [
                p for p, before in zip(best, [0, *best], strict=False) if p != before
            ]
            texts += decode_all([[piece for piece in kept if piece]])
        tokens, counts = packed["targets"]
        references = decode_all(
            [
                row[: count - 1].tolist()
                for row, count in zip(tokens, counts, strict=True)
            ]
        )
        rates = word_error_rates(references, texts)
        values |= {f"{prefix}/{name}": value for name, value in rates.items()}
        tokens = float(counts.sum())
        values[f"{prefix}/ctc_loss"] = float(loss["summed"]) / tokens
    return values


def main(sizes: list[str]) -> None:
    for name in NAMES:
        workload = small(name)
        variables = perturbed(workload)
        key = jax.random.PRNGKey(1)
        measured = {
            size: evaluate(workload, *variables, key, int(size)) for size in sizes
        }
        measured["by hand"] = by_hand(workload, *variables)
        print(json.dumps({name: measured}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
