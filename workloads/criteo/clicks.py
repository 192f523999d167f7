"""Generated click logs with a hidden factorisation: what criteo1tb_mini trains on.

Every category has a weight and a vector. The logit of a click is the sum of its
categories' weights, the inner products of all pairs of their vectors (Rendle 2010,
factorization machines), and bends of the logarithms of its counts. Categories are
Zipf-distributed: most clicks have common ones, and most categories are rare. They get
their ids as those of the real logs do, by the hashes of hexadecimal strings.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from algoperf.facts import Split
from workloads.criteo.dlrm import NUM_CATEGORIES, NUM_COUNTS
from workloads.criteo.hashing import VOCABULARY_SIZES, category_ids
from workloads.criteo.rows import DTYPE, NUM_COLUMNS
from workloads.criteo.text import MISSING

SEED = 0
_STREAMS: Mapping[Split, int] = {"train": 1, "validation": 2, "test": 3}
_PLANTED_STREAM = 0

_MOST_CATEGORIES = 100  # of a column
_RANK = 4  # of the vectors
_WEIGHT, _VECTOR, _BEND = 0.25, 0.2, 0.5  # standard deviations
_BIAS = -1.5
_LOG_COUNT = 6.0  # counts go up to e^6
_MISSING_COUNTS = 0.1  # share of them
_CHUNK = 10_000  # rows drawn at once

Arrays = dict[str, np.ndarray]


class Planted(NamedTuple):
    """The hidden model. Categories of all columns are numbered one after the other.

    Attributes:
      firsts: number of each column's first category [26].
      cumulative: probability of a column's categories up to one, per column.
      ids: of the categories, uint32 [category].
      weights: [category].
      vectors: [category, 4].
      slopes, bends: what a count adds per unit of its logarithm, and of its distance
        from the middle [13].
    """

    firsts: np.ndarray
    cumulative: tuple[np.ndarray, ...]
    ids: np.ndarray
    weights: np.ndarray
    vectors: np.ndarray
    slopes: np.ndarray
    bends: np.ndarray


def clicks(examples: Mapping[Split, int]) -> dict[str, Arrays]:
    """`rows` uint32 [click, 40] per split, read-only."""
    return {
        split: {"rows": _split(examples[split], stream)}
        for split, stream in _STREAMS.items()
    }


# Workloads share their clicks: the variants have those of their base.
@functools.lru_cache(maxsize=3)
def _split(count: int, stream: int) -> np.ndarray:
    rows, _ = draw(count, stream)
    rows.flags.writeable = False
    return rows


def draw(count: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """Clicks: rows uint32 [count, 40], and their logits float32 [count]."""
    model, bits = planted(), _bits(stream)
    rows = np.empty((count, NUM_COLUMNS), DTYPE)
    logits = np.empty(count, np.float32)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        rows[part], logits[part] = _clicks(model, bits, part.stop - part.start)
    return rows, logits


def planted() -> Planted:
    """The model that all clicks come from."""
    bits = _bits(_PLANTED_STREAM)
    sizes = [min(size, _MOST_CATEGORIES) for size in VOCABULARY_SIZES]
    total = sum(sizes)
    ids = []
    for column, size in enumerate(sizes):
        values = np.array([b"%08x" % (word >> 32) for word in bits.random_raw(size)])
        if column % 3 == 0:
            values[0] = MISSING
        ids.append(category_ids(values, column))
    return Planted(
        firsts=np.cumsum([0, *sizes[:-1]]),
        cumulative=tuple(np.cumsum(_zipf(size)) for size in sizes),
        ids=np.concatenate(ids),
        weights=_centred(bits, _WEIGHT, total),
        vectors=_centred(bits, _VECTOR, total, _RANK),
        slopes=_centred(bits, _BEND / _LOG_COUNT, NUM_COUNTS),
        bends=_centred(bits, _BEND / _LOG_COUNT, NUM_COUNTS),
    )


def _clicks(
    model: Planted, bits: np.random.Philox, count: int
) -> tuple[np.ndarray, np.ndarray]:
    uniform = _uniform(bits, NUM_CATEGORIES, count)
    # Rounding may leave the last cumulative probability just below 1.
    categories = np.stack(
        [
            first + np.minimum(np.searchsorted(edges, u, "right"), len(edges) - 1)
            for first, edges, u in zip(
                model.firsts, model.cumulative, uniform, strict=True
            )
        ],
        axis=1,
    )
    sizes = _uniform(bits, count, NUM_COUNTS) * np.float32(_LOG_COUNT)
    counts = np.exp(sizes).astype(DTYPE) - 1
    counts[_uniform(bits, count, NUM_COUNTS) < _MISSING_COUNTS] = 0
    logits = _logits(model, counts, categories)
    labels = _uniform(bits, count) < 1 / (1 + np.exp(-logits))
    rows = np.concatenate([labels[:, None], counts, model.ids[categories]], axis=1)
    return rows, logits


def _logits(model: Planted, counts: np.ndarray, categories: np.ndarray) -> np.ndarray:
    vectors = model.vectors[categories]
    # Of all pairs: half of what the square of the sum has beside the squares.
    squares = np.square(vectors).sum(axis=(1, 2))
    pairs = (np.square(vectors.sum(axis=1)).sum(axis=1) - squares) / 2
    centred = np.log1p(counts, dtype=np.float32) - np.float32(_LOG_COUNT / 2)
    bent = np.abs(centred) - np.float32(_LOG_COUNT / 4)
    from_counts = (centred * model.slopes + bent * model.bends).sum(axis=1)
    from_weights = model.weights[categories].sum(axis=1)
    return np.float32(_BIAS) + from_weights + pairs + from_counts


def _zipf(size: int) -> np.ndarray:
    shares = 1 / np.arange(1, size + 1)
    return shares / shares.sum()


def _bits(stream: int) -> np.random.Philox:
    # Raw draws, because NumPy promises those to stay the same between versions.
    return np.random.Philox(key=(SEED, stream))


def _uniform(bits: np.random.Philox, *shape: int) -> np.ndarray:
    """Float32 in [0, 1)."""
    raw = bits.random_raw(int(np.prod(shape))) >> np.uint64(40)
    return (raw.astype(np.float32) / np.float32(2**24)).reshape(shape)


def _centred(bits: np.random.Philox, deviation: float, *shape: int) -> np.ndarray:
    """Uniform around 0 with this standard deviation, float32."""
    return (_uniform(bits, *shape) - np.float32(0.5)) * np.float32(12**0.5 * deviation)
