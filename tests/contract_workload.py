"""A tiny workload with everything in it that a submission may meet.

Embedding, convolution, batch norm, layer norm, attention, dropout, a masked loss, and
inputs, targets and outputs that are tuples, as in AlgoPerf's speech workloads.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from algoperf import losses
from algoperf.data import ArraySource, Batches
from algoperf.facts import DataFiles, Facts, Split
from algoperf.layers import Dropout
from algoperf.metrics import Metrics, summed_ratios
from algoperf.spec import Batch, ForwardPassMode
from algoperf.workload import Workload

CLASSES, LENGTH, SIDE, WIDTH = 3, 4, 4, 4
EXAMPLES = {"train": 64, "eval_train": 16, "validation": 24, "test": 16}


class Everything(nn.Module):
    """Classifies each token; the brightness of the image moves all classes by one."""

    @nn.compact
    def __call__(self, tokens, image, paddings, options):
        x = nn.Embed(CLASSES, WIDTH, name="token_embed")(tokens)
        y = nn.Conv(WIDTH, (3, 3), name="conv")(image)
        y = nn.BatchNorm(options.use_running_average, momentum=0.8, name="norm")(y)
        y = jnp.mean(nn.relu(y), axis=(1, 2))
        x = x + jnp.broadcast_to(y[:, None], x.shape)
        mask = nn.make_attention_mask(paddings < 1, paddings < 1)
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(x, mask=mask)
        x = nn.LayerNorm(name="layer_norm")(x)
        x = Dropout(deterministic=not options.train)(x, rate=options.dropout_rate)
        return nn.Dense(CLASSES, name="output")(x), paddings


def feed(apply, batch, options):
    """Feeds the tuple; an example batch can only hold arrays of their own."""
    tokens, image = batch.get("inputs") or (batch["tokens"], batch["image"])
    paddings = batch["targets"][1] if "targets" in batch else batch["paddings"]
    return apply(tokens, image, paddings, options)


def loss(label_batch, logits_batch, mask_batch=None, label_smoothing=0.0):
    """Cross-entropy per token: both tuples say what is padding, `mask_batch` too."""
    labels, paddings = label_batch
    logits, _ = logits_batch
    mask = 1.0 - paddings
    if mask_batch is not None:
        mask = mask * mask_batch[:, None]
    return losses.softmax_cross_entropy(labels, logits, mask, label_smoothing)


def measure(workload, params, model_state, batch, rng):
    """Loss and accuracy of a batch."""
    outputs, _ = workload.model_fn(
        params, batch, model_state, ForwardPassMode.EVAL, rng, update_batch_norm=False
    )
    labels, paddings = batch["targets"]
    weights = (1.0 - paddings) * batch["weights"][:, None]
    correct = jnp.argmax(outputs[0], axis=-1) == labels
    result = workload.loss_fn(batch["targets"], outputs, batch["weights"])
    return {
        "accuracy": (jnp.sum(correct * weights), jnp.sum(weights)),
        "loss": (result["summed"], result["n_valid_examples"]),
    }


def examples() -> dict[str, dict[str, np.ndarray]]:
    """Random tokens and images by split; the last token of half of them is padding."""
    random, splits = np.random.default_rng(5), {}
    for split in ("train", "validation", "test"):
        size = EXAMPLES[split]
        tokens = random.integers(0, CLASSES, (size, LENGTH)).astype(np.int32)
        image = random.normal(size=(size, SIDE, SIDE, 1)).astype(np.float32)
        bright = (image.mean(axis=(1, 2, 3)) > 0).astype(np.int32)
        paddings = np.zeros((size, LENGTH), np.float32)
        paddings[::2, -1] = 1.0
        splits[split] = {
            "tokens": tokens,
            "image": image,
            "labels": (tokens + bright[:, None]) % CLASSES,
            "paddings": paddings,
            "weights": (np.arange(size) % 8 > 0).astype(np.float32),
        }
    return splits


def tuples(batch: Batch) -> dict[str, Any]:
    """The batch a submission sees."""
    return {
        "inputs": (batch["tokens"], batch["image"]),
        "targets": (batch["labels"], batch["paddings"]),
        "weights": batch["weights"],
    }


class TupleBatches:
    """Batches with tuples in them; padding, which needs arrays, is done before."""

    def __init__(self, inner: Batches):
        self._inner = inner
        self.position = inner.position

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch = tuples(next(self._inner))
        self.position = self._inner.position
        return batch


class TupleSource:
    """The examples as tuples."""

    def __init__(self) -> None:
        self._arrays = ArraySource(examples, EXAMPLES["eval_train"], lambda raw: raw)

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        return TupleBatches(self._arrays.batches(split, batch_size, seed, position))


def contract_workload() -> Workload:
    """A workload of its own: another one is another static argument."""
    facts = Facts(
        name="contract",
        base="contract",
        scale="mini",
        metric="accuracy",
        goal="max",
        validation_target=1.1,  # never reached
        test_target=None,
        max_runtime_s=600,
        eval_period_steps=2,
        step_hint=20,
        loss="softmax_cross_entropy",
        batch_size=16,
        eval_batch_size=16,
        examples=EXAMPLES,
        data=DataFiles("made up"),
    )
    return Workload(
        facts=facts,
        model=Everything(),
        example_batch={
            "tokens": jax.ShapeDtypeStruct((1, LENGTH), jnp.int32),
            "image": jax.ShapeDtypeStruct((1, SIDE, SIDE, 1), jnp.float32),
            "paddings": jax.ShapeDtypeStruct((1, LENGTH), jnp.float32),
        },
        forward=feed,
        loss=loss,
        metrics=Metrics(measure, summed_ratios),
        data=TupleSource(),
        output_params=("output",),
        default_dropout_rate=0.1,
    )
