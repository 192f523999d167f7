"""The language model in NumPy, float64, token by token: from the formulas alone."""

import math

import numpy as np

EPSILON = 1e-6


def rms_norm(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + EPSILON) * scale


def rotated(x: np.ndarray, position: int, theta: float) -> np.ndarray:
    """One head at one position, as complex numbers times e^(i position / theta^..)."""
    numbers = x[0::2] + 1j * x[1::2]
    count = len(numbers)
    turn = [np.exp(1j * position * theta ** (-i / count)) for i in range(count)]
    turned = numbers * np.asarray(turn)
    out = np.empty_like(x)
    out[0::2], out[1::2] = turned.real, turned.imag
    return out


def unit(x: np.ndarray) -> np.ndarray:
    return x / (np.linalg.norm(x) + EPSILON)


def attention(x: np.ndarray, params: dict, heads: int, theta: float) -> np.ndarray:
    """[token, width] to the same shape."""
    length, width = x.shape
    size = width // heads
    query, key, value = (x @ params[n]["kernel"] for n in ("query", "key", "value"))
    mixed = np.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for t in range(length):
            q = params["attn_scale"] * unit(rotated(query[t, part], t, theta))
            logits = [q @ unit(rotated(key[s, part], s, theta)) for s in range(t + 1)]
            weights = np.exp(logits - np.max(logits))
            mixed[t, part] = weights @ value[: t + 1, part] / weights.sum()
    return mixed @ params["out"]["kernel"]


def mlp(x: np.ndarray, params: dict) -> np.ndarray:
    both = x @ params["Dense_0"]["kernel"]
    half = both.shape[-1] // 2
    gated = both[..., :half] / (1 + np.exp(-both[..., half:]))
    return gated @ params["Dense_1"]["kernel"]


def logits(params: dict, tokens: np.ndarray, heads: int, theta: float) -> np.ndarray:
    """[token, vocabulary] of one sequence [token]."""
    table = params["embed"]["embedding"]
    x = table[tokens]
    for i in range(sum(name.startswith("blocks_") for name in params)):
        block = params[f"blocks_{i}"]
        normed = rms_norm(x, block["RMSNorm_0"]["scale"])
        x = x + attention(normed, block["CausalAttn_0"], heads, theta)
        x = x + mlp(rms_norm(x, block["RMSNorm_1"]["scale"]), block["Mlp_0"])
    return rms_norm(x, params["out_ln"]["scale"]) @ table.T


def expected_scale(length: int) -> float:
    return math.log2(length**2 - length)
