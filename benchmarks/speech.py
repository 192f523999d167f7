"""Speech on the device: the front end, train steps of the models, LSTM loops.

A train step is the loss and its gradient, from audio on. The models are compared with
direct transcriptions, with the same parameters: frames are gathered and pre-emphasised
one by one, convolutions are XLA's, and an LSTM is `flax.linen.Bidirectional`. Then one
layer of DeepSpeech, alone, in other ways to compute the same. All in turns in one
process.

  python benchmarks/speech.py --batch=4 --seconds=4
"""

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from workloads.librispeech import encoder_input
from workloads.librispeech.conformer import Conformer
from workloads.librispeech.ctc import ctc_loss
from workloads.librispeech.deepspeech import DeepSpeech
from workloads.librispeech.frontend import (
    FRAME_SAMPLES,
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    _features,
    log_mel,
    mel_filters,
    normalized_log,
)
from workloads.librispeech.lstm import BidirectionalLSTM, lstm
from workloads.librispeech.strided_conv import strided_conv

TOKENS_PER_S = 4
WIDTH = 512
Lstm = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def in_turns(works: Mapping[Any, Callable[[], Any]], rounds: int) -> dict[Any, float]:
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


def plain_log_mel(audio: jax.Array, paddings: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`log_mel` as HTK describes it: frame by frame, with all its steps in each."""
    audio = audio * (1 - paddings) * 2.0**-15
    count = (audio.shape[1] - FRAME_SAMPLES) // HOP_SAMPLES + 1
    index = HOP_SAMPLES * np.arange(count)[:, None] + np.arange(FRAME_SAMPLES)
    frames = audio[:, index]
    first = frames[..., :1] * (1 - 0.97)
    rest = frames[..., 1:-1] - 0.97 * frames[..., :-2]
    turns = np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)
    windows = jnp.concatenate([first, rest], axis=-1) * hann
    power = jnp.abs(jnp.fft.rfft(windows, 512)) ** 2
    energies = jnp.matmul(power, mel_filters(), precision="highest")
    return normalized_log(energies), paddings[:, index].min(axis=-1)


@contextlib.contextmanager
def transcribed(directly: bool) -> Iterator[None]:
    """Meanwhile the models are traced as direct transcriptions, if asked for."""
    if not directly:
        yield
        return
    plain = {"log_mel": plain_log_mel, "strided_conv": jax.lax.conv_general_dilated}
    with mock.patch.multiple(encoder_input, **plain), nn.intercept_methods(flax_lstm):
        yield


def train_step(model: nn.Module, batch: int, seconds: float, directly: bool):
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
        with transcribed(directly):
            return step(params, audio, paddings, jax.random.PRNGKey(1))

    return run


def convolution(batch: int, frames: int, conv: Any) -> Callable[[], Any]:
    """The gradient of the second strided convolution of the models."""
    rng = np.random.default_rng(4)
    x = jnp.asarray(rng.normal(size=(batch, frames, 40, WIDTH)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, WIDTH, WIDTH)), jnp.float32)

    def total(x, kernel):
        layout = ("NHWC", "HWIO", "NHWC")
        y = conv(x, kernel, (2, 2), "SAME", dimension_numbers=layout)
        return jnp.sum(jnp.square(y))

    gradient = jax.jit(jax.grad(total, (0, 1)))
    return lambda: gradient(x, kernel)


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


def print_steps(batch: int, seconds: float, rounds: int) -> None:
    """Both models and their direct transcriptions, and the ratios."""
    works = {
        (name, directly): train_step(model, batch, seconds, directly)
        for name, model in (("Conformer", Conformer()), ("DeepSpeech", DeepSpeech()))
        for directly in (False, True)
    }
    times = in_turns(works, rounds)
    for name in ("Conformer", "DeepSpeech"):
        ours, theirs = times[name, False], times[name, True]
        print(
            f"train step, {name}: {1e3 * ours:.0f} ms, transcribed directly "
            f"{1e3 * theirs:.0f} ms, {theirs / ours:.2f} times as long"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=4, help="utterances a step")
    parser.add_argument("--seconds", type=float, default=4.0, help="audio of each")
    parser.add_argument("--rounds", type=int, default=7)
    flags = parser.parse_args()
    print(f"{flags.batch} x {flags.seconds} s on {jax.devices()[0].device_kind}")
    audio, paddings = audio_batch(8, 12.0)
    features = jax.jit(log_mel)
    plain = jax.jit(plain_log_mel)
    # Beneath the decorator: the whole batch at every stage.
    at_once = jax.jit(getattr(_features, "__wrapped__"))  # noqa: B009
    times = in_turns(
        {
            "front end": lambda: features(audio, paddings),
            "front end, all at once": lambda: at_once(audio, paddings),
            "front end, transcribed directly": lambda: plain(audio, paddings),
        },
        3 * flags.rounds,
    )
    for name, seconds in times.items():
        print(f"{name}: {1e3 * seconds:.1f} ms, {8 * 12 / seconds:.0f} x real time")
    print_steps(flags.batch, flags.seconds, flags.rounds)
    convolutions = {
        "as a product (used)": strided_conv,
        "XLA's": jax.lax.conv_general_dilated,
    }
    works = {
        name: convolution(flags.batch, int(50 * flags.seconds), conv)
        for name, conv in convolutions.items()
    }
    for name, seconds in in_turns(works, flags.rounds).items():
        print(f"gradient of a strided convolution, {name}: {1e3 * seconds:.0f} ms")
    loops = lstm_loops(flags.batch, int(25 * flags.seconds))
    for name, seconds in in_turns(loops, flags.rounds).items():
        print(f"LSTM layer, {name}: {1e3 * seconds:.1f} ms")


if __name__ == "__main__":
    main()
