"""The speech models in plain NumPy, in float64: what the Flax modules are held to.

Utterances are gone through one by one, frames of the LSTM too. Outputs at padding mean
nothing and are left at whatever they are.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
from fakes import made_up_facts

from algoperf.data import ArraySource
from algoperf.metrics import CLASSIFICATION
from algoperf.workload import Workload
from workloads.librispeech.ctc import ctc_loss
from workloads.librispeech.encoder_input import feed_speech

SAMPLES = 401 + 160 * 42  # 43 frames: 22 and 11 after the convolutions, both uneven
LENGTHS = (SAMPLES, 4000, 2500)


def speech_workload(model, samples: int = SAMPLES) -> Workload:
    """The workload of a speech model, without data; its metrics are of no use."""
    audio = jax.ShapeDtypeStruct((1, samples), jnp.float32)
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.float32)
    return Workload(
        facts=made_up_facts(loss="ctc_loss"),
        model=model,
        example_batch={"inputs": (audio, audio), "targets": (tokens, tokens)},
        forward=feed_speech,
        loss=ctc_loss,
        metrics=CLASSIFICATION,
        data=ArraySource(dict, 8, lambda raw: raw),
        default_dropout_rate=0.1,
    )


def audio_batch(lengths=LENGTHS, samples: int = SAMPLES, seed: int = 3):
    """(audio, paddings), float32 [batch, sample]: noise whose colour changes."""
    random = np.random.default_rng(seed)
    audio = np.cumsum(random.normal(size=(len(lengths), samples)), axis=1)
    audio = 900 * audio + 3000 * random.normal(size=audio.shape)
    audio = np.clip(np.round(audio), -32768, 32767).astype(np.float32)
    return audio, paddings_of(lengths, samples)


def paddings_of(lengths, size: int) -> np.ndarray:
    """[batch, size]: 0 for the first `lengths`, 1 after them."""
    padding = np.arange(size)[None] >= np.asarray(lengths)[:, None]
    return padding.astype(np.float32)


def mel(hertz: float) -> float:
    return 1127.0 * math.log(1.0 + hertz / 700.0)


def mel_filters() -> np.ndarray:
    """[257, 80], number by number."""
    low, high = mel(125.0), mel(7600.0)
    corners = [low + (high - low) * i / 81 for i in range(82)]
    filters = np.zeros((257, 80))
    for bin_ in range(1, 257):
        here = mel(bin_ * 16_000 / 512)
        for i in range(80):
            left, middle, right = corners[i : i + 3]
            if left < here <= middle:
                filters[bin_, i] = (here - left) / (middle - left)
            elif middle < here < right:
                filters[bin_, i] = (right - here) / (right - middle)
    return filters


def log_mel(audio: np.ndarray, mean, std) -> np.ndarray:
    """[frame, 80] of one utterance, padding already 0; HTK's way, frame by frame."""
    filters = mel_filters()
    features = []
    for start in range(0, len(audio) - 401 + 1, 160):
        frame = audio[start : start + 401].astype(np.float64) * 2**-15
        emphasised = np.empty(400)
        emphasised[0] = frame[0] * (1 - 0.97)
        for t in range(1, 400):
            emphasised[t] = frame[t] - 0.97 * frame[t - 1]
        window = [0.5 - 0.5 * math.cos(2 * math.pi * t / 400) for t in range(400)]
        power = np.abs(np.fft.rfft(emphasised * window, 512)) ** 2
        features.append(np.log(np.maximum(power @ filters, 1e-5)))
    return (np.array(features) - np.array(mean)) / np.array(std)


def frame_paddings(paddings: np.ndarray) -> np.ndarray:
    starts = range(0, paddings.shape[1] - 401 + 1, 160)
    return np.stack([paddings[:, s : s + 401].min(axis=1) for s in starts], axis=1)


def layer_norm(params: Mapping, x: np.ndarray) -> np.ndarray:
    return plain.layer_norm(
        {"scale": 1.0 + params["scale"].astype(np.float64), "bias": params["bias"]}, x
    )


def batch_norm(params: Mapping, x, paddings, running: Mapping | None):
    """Normalised [batch, frame, feature], 0 at padding, and the (mean, var) used."""
    if running is not None:
        mean, var = running["mean"], running["var"]
    else:
        frames = x[paddings == 0]
        mean, var = frames.mean(axis=0), frames.var(axis=0)
    y = (x - mean) / np.sqrt(var + 1e-3)
    y = y * (1.0 + params["scale"]) + params["bias"]
    y[paddings == 1] = 0.0
    return y, (mean, var)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def lstm(params: Mapping, x: np.ndarray) -> np.ndarray:
    """[frame, feature] of one utterance [frame, input], from its first frame on."""
    features = params["hi"]["bias"].shape[0]
    cell, hidden, outputs = np.zeros(features), np.zeros(features), []
    for now in x:
        gate = {
            name: now @ params[f"i{name}"]["kernel"]
            + hidden @ params[f"h{name}"]["kernel"]
            + params[f"h{name}"]["bias"]
            for name in "ifgo"
        }
        cell = sigmoid(gate["f"]) * cell + sigmoid(gate["i"]) * np.tanh(gate["g"])
        hidden = sigmoid(gate["o"]) * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs).reshape(len(x), features)


def bidirectional_lstm(params: Mapping, x: np.ndarray, paddings: np.ndarray):
    """Forward and backward outputs side by side, 0 at padding."""
    features = params["forward"]["hi"]["bias"].shape[0]
    y = np.zeros((*x.shape[:2], 2 * features))
    for i, valid in enumerate(np.sum(paddings == 0, axis=1)):
        y[i, :valid, :features] = lstm(params["forward"], x[i, :valid])
        y[i, :valid, features:] = lstm(params["backward"], x[i, :valid][::-1])[::-1]
    return y


def position_code(frames: int, width: int) -> np.ndarray:
    """[frame, width]: sines, then cosines, number by number."""
    half = width // 2
    code = np.zeros((frames, width))
    for t in range(frames):
        for k in range(half):
            angle = t / 10_000 ** (k / (half - 1))
            code[t, k], code[t, half + k] = math.sin(angle), math.cos(angle)
    return code


def subsample(params: Mapping, x, paddings, activation):
    """[batch, frame / 4, width] of features, and the paddings."""
    x = x[..., None]
    for i in range(2):
        conv = params[f"Conv2dSubsampling_{i}"]
        x = activation(plain.convolve(x, conv["kernel"], 2) + conv["bias"])
        paddings = paddings[:, ::2]
        x[paddings == 1] = 0.0
    return plain.dense(params["Dense_0"], x.reshape(*x.shape[:2], -1)), paddings


class PlainSpeech:
    """A forward pass; `state` gets the statistics if the batch's are used."""

    def __init__(self, params: Mapping, stats: Mapping | None) -> None:
        self.params, self.stats = params, stats
        self.state: dict[str, Any] = {}

    def normalize(self, path: tuple[str, ...], x, paddings):
        """Batch or layer normalisation, whichever has parameters at the path."""
        params, running = self.params, self.stats
        for key in path:
            params = params[key]
        if "BatchNorm_0" not in params:
            return layer_norm(params["LayerNorm_0"], x)
        if running is not None:
            for key in (*path, "BatchNorm_0"):
                running = running[key]
        y, used = batch_norm(params["BatchNorm_0"], x, paddings, running)
        self.state["/".join((*path, "BatchNorm_0"))] = used
        return y

    def conformer(self, x, paddings, activation, temperature: float):
        """Logits of features, and paddings."""
        params = self.params
        x, paddings = subsample(params["Subsample_0"], x, paddings, plain.relu)
        x = x + position_code(*x.shape[1:])
        for i in range(sum(name.startswith("ConformerBlock") for name in params)):
            name = f"ConformerBlock_{i}"
            block = params[name]
            x = x + 0.5 * _feed_forward(
                block["FeedForwardModule_0"], x, paddings, activation
            )
            x = x + _attention(
                block["MultiHeadedSelfAttention_0"], x, paddings, temperature
            )
            x = x + self.convolution(name, x, paddings, activation)
            x = x + 0.5 * _feed_forward(
                block["FeedForwardModule_1"], x, paddings, activation
            )
            if "LayerNorm_0" in block:
                x = layer_norm(block["LayerNorm_0"], x)
        x = layer_norm(params["LayerNorm_0"], x)
        return plain.dense(params["Dense_0"], x), paddings

    def convolution(self, block: str, x, paddings, activation):
        params = self.params[block]["ConvolutionBlock_0"]
        x = layer_norm(params["LayerNorm_0"], x)
        x = plain.dense(params["Dense_0"], x) * sigmoid(
            plain.dense(params["Dense_1"], x)
        )
        x[paddings == 1] = 0.0
        kernel = params["Conv_0"]["kernel"][:, 0]
        size = len(kernel)
        around = np.pad(x, ((0, 0), ((size - 1) // 2, size // 2), (0, 0)))
        x = sum(around[:, k : k + x.shape[1]] * kernel[k] for k in range(size))
        x = self.normalize((block, "ConvolutionBlock_0"), x, paddings)
        return plain.dense(params["Dense_2"], activation(x))

    def deepspeech(self, x, paddings, activation, residual: bool):
        """Logits of features, and paddings."""
        params = self.params
        x, paddings = subsample(params["Subsample_0"], x, paddings, activation)
        for i in range(sum(name.startswith("BatchRNN") for name in params)):
            name = f"BatchRNN_{i}"
            y = self.normalize((name,), x, paddings)
            y = bidirectional_lstm(params[name]["BidirectionalLSTM_0"], y, paddings)
            x = x + y if residual else y
        for i in range(sum(name.startswith("FeedForward") for name in params)):
            name = f"FeedForwardModule_{i}"
            y = self.normalize((name,), x, paddings)
            y = activation(plain.dense(params[name]["Dense_0"], y))
            x = x + y if residual else y
        if "LayerNorm_0" in params:
            x = layer_norm(params["LayerNorm_0"], x)
        return plain.dense(params["Dense_0"], x), paddings


def _feed_forward(params: Mapping, x, paddings, activation):
    y = plain.dense(params["Dense_0"], layer_norm(params["LayerNorm_0"], x))
    y = plain.dense(params["Dense_1"], activation(y))
    y[paddings == 1] = 0.0
    return y


def _attention(params: Mapping, x, paddings, temperature: float):
    heads = params["MultiHeadDotProductAttention_0"]
    scale = heads["QueryScaler_0"]["scale"].astype(np.float64)
    factor = np.log1p(np.exp(scale)) / math.log(2)
    # A factor on queries is one on their projection; one on what is read, on the
    # output's.
    query, out = dict(heads["query"]), dict(heads["out"])
    query = {leaf: value * factor for leaf, value in query.items()}
    out["kernel"] = out["kernel"] * temperature
    heads = {**heads, "query": query, "out": out}
    x = layer_norm(params["LayerNorm_0"], x)
    y = np.zeros(x.shape)
    for i, valid in enumerate(np.sum(paddings == 0, axis=1)):
        here = x[i : i + 1, :valid]
        y[i : i + 1, :valid] = plain.attention(heads, here, here) if valid else 0
    return y
