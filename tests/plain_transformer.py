"""wmt's Transformer in plain NumPy, in float64: what the Flax modules are held to.

It goes sentence by sentence and head by head, so it has no masks and no packing.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Params = Mapping[str, Any]
EPSILON = 1e-6


def logits(params: Params, fields: Mapping[str, Any], source, read) -> np.ndarray:
    """Logits [position, token] of one sentence.

    `source` are its tokens, `read` what the decoder reads: 0 and the target so far.
    """
    table = _double(params["shared_embedding"]["embedding"])
    width = table.shape[1]
    blocks = params["encoder"]
    x = table[source] + positions(len(source), width)
    for i in range(fields["depth"]):
        block = blocks[f"encoderblock_{i}"]
        x = _add(block, fields, x, 0, lambda y, b=block: _attend(b, 0, fields, y, y))
        x = _add(block, fields, x, 1, lambda y, b=block: _mlp(b, fields, y))
    if not fields.get("post_ln"):
        x = _norm(blocks["encoder_layernorm"], x)
    encoded = x

    blocks = params["decoder"]
    y = table[read] + positions(len(read), width)
    for i in range(fields["depth"]):
        block = blocks[f"encoderdecoderblock_{i}"]
        branches = (
            lambda z, b=block: _attend(b, 0, fields, z, z, causal=True),
            lambda z, b=block: _attend(b, 1, fields, z, encoded),
            lambda z, b=block: _mlp(b, fields, z),
        )
        for number, branch in enumerate(branches):
            y = _add(block, fields, y, number, branch)
    if not fields.get("post_ln"):
        y = _norm(blocks["encoderdecoder_layernorm"], y)
    return y @ table.T / math.sqrt(width)


def positions(count: int, width: int) -> np.ndarray:
    """Sines, then cosines, of positions; from one radian a position to 1/10000."""
    half = width // 2
    values = np.zeros((count, width))
    for position in range(count):
        for i in range(half):
            angle = position * 10_000 ** (-i / (half - 1))
            values[position, i] = math.sin(angle)
            values[position, half + i] = math.cos(angle)
    return values


def _add(block, fields, x, number, branch):
    norm = block[f"LayerNorm_{number}"]
    if fields.get("post_ln"):
        return _norm(norm, x + branch(x))
    return x + branch(_norm(norm, x))


def _attend(block, number, fields, asking, looked_at, causal=False):
    p = block[f"MultiHeadDotProductAttention_{number}"]
    query, key, value, out = (
        _double(p[name]["kernel"]) for name in ("query", "key", "value", "out")
    )
    asking = fields.get("attention_temp", 1.0) * asking
    result = np.zeros_like(asking)
    for head in range(query.shape[1]):
        q, k, v = (
            asking @ query[:, head],
            looked_at @ key[:, head],
            looked_at @ value[:, head],
        )
        for i in range(len(q)):
            seen = i + 1 if causal else len(k)
            scores = attention_logits(q[i], k[:seen])
            weights = np.exp(scores - scores.max())
            result[i] += (weights / weights.sum()) @ v[:seen] @ out[head]
    return result


def attention_logits(query, keys) -> np.ndarray:
    """[key]: scaled products (Vaswani et al. 2017, equation 1)."""
    return np.array([query @ key for key in keys]) / math.sqrt(len(query))


def _mlp(block, fields, x):
    p = block["MlpBlock_0"]
    activate = {"relu": lambda y: np.maximum(y, 0), "tanh": np.tanh}
    hidden = activate[fields.get("activation", "relu")](_dense(p["Dense_0"], x))
    if fields.get("glu"):
        return _dense(p["Dense_2"], hidden * _dense(p["Dense_1"], x))
    return _dense(p["Dense_1"], hidden)


def _dense(p, x):
    return x @ _double(p["kernel"]) + _double(p["bias"])


def _norm(p, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + EPSILON)
    return scaled * _double(p["scale"]) + _double(p["bias"])


def _double(leaf) -> np.ndarray:
    return np.asarray(leaf, np.float64)
