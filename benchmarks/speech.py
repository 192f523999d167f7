"""Speech: the front end, train steps of the models, LSTM loops, word error rates.

A train step is the loss and its gradient, from audio on. DeepSpeech is compared with
itself over `flax.linen.Bidirectional`, with the same parameters. Then one layer of it,
alone, in other ways to compute the same. All in turns in one process.

  python benchmarks/speech.py --batch=4 --seconds=4
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from workloads.librispeech.conformer import Conformer
from workloads.librispeech.ctc import ctc_loss
from workloads.librispeech.deepspeech import DeepSpeech
from workloads.librispeech.frontend import SAMPLE_RATE_HZ, log_mel
from workloads.librispeech.lstm import BidirectionalLSTM, lstm
from workloads.librispeech.wer import word_error_rates

TOKENS_PER_S = 4
WIDTH = 512
UTTERANCES, WORDS = 5_348, 17
Lstm = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def in_turns(works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each work: medians of `rounds`, after one to compile."""
    for work in works.values():
        jax.block_until_ready(work())
    seconds = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.perf_counter()
            jax.block_until_ready(work())
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def audio_batch(batch: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Noise as 16-bit values, and paddings: utterances from half as long on."""
    rng = np.random.default_rng(0)
    samples = int(seconds * SAMPLE_RATE_HZ)
    audio = rng.integers(-9000, 9000, (batch, samples)).astype(np.float32)
    lengths = np.linspace(samples, samples // 2, batch)
    return audio, (np.arange(samples)[None] >= lengths[:, None]).astype(np.float32)


def flax_lstm(next_call, args, kwargs, context):
    """Computes every `BidirectionalLSTM` by Flax's own modules."""
    module = context.module
    if not isinstance(module, BidirectionalLSTM) or module.is_initializing():
        return next_call(*args, **kwargs)
    x, paddings = args
    return flax_bidirectional(module.variables["params"], x, paddings)


def flax_bidirectional(params: Any, x: jax.Array, paddings: jax.Array) -> jax.Array:
    """`BidirectionalLSTM` with its parameters, by `flax.linen.Bidirectional`."""
    features = params["forward"]["hi"]["bias"].shape[0]
    ahead, back = (nn.RNN(nn.OptimizedLSTMCell(features)) for _ in range(2))
    tree = {f"{name}_rnn": {"cell": params[name]} for name in ("forward", "backward")}
    lengths = jnp.sum(1 - paddings, axis=1).astype(jnp.int32)
    layer = nn.Bidirectional(ahead, back)
    y: Any = layer.apply({"params": tree}, x, seq_lengths=lengths)
    return y * (1 - paddings)[..., None]


def train_step(model: nn.Module, batch: int, seconds: float, by_flax: bool):
    """A function that computes the loss and its gradient once."""
    audio, paddings = audio_batch(batch, seconds)
    tokens = np.random.default_rng(1).integers(
        3, 1024, (batch, int(TOKENS_PER_S * seconds / 2))
    )
    labels = (jnp.asarray(tokens), jnp.zeros(tokens.shape))
    variables = dict(jax.jit(model.init)(jax.random.PRNGKey(0), audio, paddings))
    params = variables.pop("params")

    @jax.jit
    def step(params, audio, paddings, key):
        def mean_loss(params):
            outputs, state = model.apply(
                {"params": params, **variables},
                audio,
                paddings,
                True,
                False,
                0.1,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            loss = ctc_loss(labels, outputs)
            return loss["summed"] / loss["n_valid_examples"], state

        return jax.value_and_grad(mean_loss, has_aux=True)(params)

    def run():
        with nn.intercept_methods(flax_lstm if by_flax else nothing):
            return step(params, audio, paddings, jax.random.PRNGKey(1))

    return run


def nothing(next_call, args, kwargs, context):
    """Leaves every method as it is."""
    return next_call(*args, **kwargs)


def one_loop(gates: jax.Array, kernels: jax.Array, valid: jax.Array) -> jax.Array:
    """Both directions, the first axis of everything, in one loop."""
    return jax.vmap(lstm)(gates, kernels, valid)


def two_loops(gates: jax.Array, kernels: jax.Array, valid: jax.Array) -> jax.Array:
    """The same, as `BidirectionalLSTM` does it."""
    return jnp.stack([lstm(gates[i], kernels[i], valid[i]) for i in range(2)])


def looped_gradient(gates: jax.Array, kernels: jax.Array, valid: jax.Array):
    """The same, with the gradient by the kernels that JAX finds: a sum in the loop."""
    plain: Lstm = getattr(lstm, "__wrapped__")  # noqa: B009
    return jnp.stack([plain(gates[i], kernels[i], valid[i]) for i in range(2)])


def lstm_loops(batch: int, frames: int) -> dict[str, Callable[[], Any]]:
    """Ways to run a layer of DeepSpeech, with their gradients by gates and kernels."""
    rng = np.random.default_rng(2)
    features = WIDTH // 2
    gates = jnp.asarray(rng.normal(size=(2, frames, batch, 4 * features)), jnp.float32)
    kernels = 0.05 * jnp.asarray(rng.normal(size=(2, features, 4 * features)))
    valid = jnp.ones((2, frames, batch, 1))

    def gradient(layer: Lstm) -> Callable[[], Any]:
        def total(gates, kernels):
            return jnp.sum(jnp.square(layer(gates, kernels, valid)))

        compiled = jax.jit(jax.value_and_grad(total, (0, 1)))
        return lambda: compiled(gates, kernels)

    layers = {
        "two loops (used)": two_loops,
        "one loop": one_loop,
        "gradient in the loop": looped_gradient,
    }
    return {name: gradient(layer) for name, layer in layers.items()}


def wer_seconds() -> float:
    """Seconds for both word error rates of LibriSpeech's validation set."""
    rng = random.Random(0)
    words = [f"WORD{i}" for i in range(5000)]
    references = [" ".join(rng.choices(words, k=WORDS)) for _ in range(UTTERANCES)]
    hypotheses = [text.replace("7", "8", 1) for text in references]
    start = time.perf_counter()
    word_error_rates(references, hypotheses)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=4, help="utterances a step")
    parser.add_argument("--seconds", type=float, default=4.0, help="audio of each")
    parser.add_argument("--rounds", type=int, default=7)
    flags = parser.parse_args()
    print(f"{flags.batch} x {flags.seconds} s on {jax.devices()[0].device_kind}")
    audio, paddings = audio_batch(8, 12.0)
    features = jax.jit(log_mel)
    seconds = in_turns({"": lambda: features(audio, paddings)}, 3 * flags.rounds)[""]
    print(f"front end: {1e3 * seconds:.1f} ms, {8 * 12 / seconds:.0f} x real time")
    steps = {
        "Conformer": train_step(Conformer(), flags.batch, flags.seconds, False),
        "DeepSpeech": train_step(DeepSpeech(), flags.batch, flags.seconds, False),
        "DeepSpeech by Flax": train_step(
            DeepSpeech(), flags.batch, flags.seconds, True
        ),
    }
    for title, works in (
        ("train step", steps),
        ("LSTM layer", lstm_loops(flags.batch, int(25 * flags.seconds))),
    ):
        for name, seconds in in_turns(works, flags.rounds).items():
            print(f"{title}, {name}: {1e3 * seconds:.1f} ms")
    milliseconds = 1e3 * min(wer_seconds() for _ in range(flags.rounds))
    print(f"word error rates of {UTTERANCES} utterances: {milliseconds:.0f} ms")


if __name__ == "__main__":
    main()
