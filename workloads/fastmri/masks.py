"""Which columns of k-space are measured: TensorFlow's stateless random numbers.

Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with
the key and counter that TensorFlow derives from a seed of two 64-bit integers. The
masks of validation and test are AlgoPerf's own, which its targets were set with.
"""

import numpy as np

EVAL_SEED = (0, 0)  # of every slice of validation and test
_CENTRE_FRACTION = 0.08
_ACCELERATION = 4

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (np.uint32(0x9E3779B9), np.uint32(0xBB67AE85))
_SCRAMBLE_KEY = (0x3EC8F720, 0x02461E29)


def column_masks(
    num_columns: np.ndarray, seeds: np.ndarray, width: int | None = None
) -> np.ndarray:
    """True where a column of k-space is kept, bool [slice, `width`].

    The middle 8 % of a slice's columns are kept, and every other one with the
    probability that makes a quarter of all on average (Zbontar et al. 2018, 4.1).
    A mask is a pure function of the slice's own number of columns and seed.

    Args:
      num_columns: columns of each slice, int [slice], at most `width`.
      seeds: int [slice, 2], such as (run's seed, slice's number); `EVAL_SEED` for
        validation and test.
      width: columns of the result, False beyond a slice's own; default: the most.
    """
    columns = np.asarray(num_columns, np.int64)
    width = int(columns.max()) if width is None else width
    draws = stateless_uniform(np.asarray(seeds), width)
    # In float32 step by step, like the draws: a probability between two of those
    # decides no differently from one rounded up.
    low = (columns.astype(np.float32) * np.float32(_CENTRE_FRACTION)).astype(np.int64)
    expected = columns.astype(np.float32) / np.float32(_ACCELERATION)
    # A padded row of a batch may have no columns.
    others = np.maximum(columns - low, 1).astype(np.float32)
    probability = (expected - low.astype(np.float32)) / others
    start = (columns - low + 1) // 2
    column = np.arange(width)[None]
    in_centre = (column >= start[:, None]) & (column < (start + low)[:, None])
    at_random = draws < probability[:, None]
    return (in_centre | at_random) & (column < columns[:, None])


def stateless_uniform(seeds: np.ndarray, count: int) -> np.ndarray:
    """`tf.random.stateless_uniform` for each seed: float32 [seed, count] in [0, 1).

    Args:
      seeds: int [seed, 2], 64-bit integers of either sign.
    """
    words = _seed_words(seeds)
    mix = philox_4x32(words, np.array(_SCRAMBLE_KEY, np.uint32)[None])
    blocks = -(-count // 4)
    counters = np.zeros((len(seeds), blocks, 4), np.uint32)
    # TensorFlow adds the block's number to 128 bits; below 2^32 blocks it fits here.
    counters[:, :, 0] = np.arange(blocks, dtype=np.uint32)
    counters[:, :, 2:] = mix[:, None, 2:]
    draws = philox_4x32(counters, mix[:, None, :2]).reshape(len(seeds), -1)[:, :count]
    return _unit_floats(draws)


def philox_4x32(counters: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Ten rounds of Philox: uint32 [..., 4] of uint32 [..., 4] and [..., 2]."""
    c0, c1, c2, c3 = np.moveaxis(counters.astype(np.uint32), -1, 0)
    k0, k1 = np.moveaxis(keys.astype(np.uint32), -1, 0)
    with np.errstate(over="ignore"):
        for _ in range(_ROUNDS):
            high0, low0 = _multiply(_MULTIPLIERS[0], c0)
            high1, low1 = _multiply(_MULTIPLIERS[1], c2)
            c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
            k0, k1 = k0 + _KEY_STEPS[0], k1 + _KEY_STEPS[1]
    return np.stack([c0, c1, c2, c3], axis=-1)


def _multiply(factor: np.uint64, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """High and low 32 bits of a product of 32-bit integers."""
    product = factor * x.astype(np.uint64)
    return (product >> np.uint64(32)).astype(np.uint32), product.astype(np.uint32)


def _seed_words(seeds: np.ndarray) -> np.ndarray:
    """uint32 [seed, 4]: low and high half of the first integer, then of the second."""
    whole = np.ascontiguousarray(seeds.astype(np.int64), dtype="<i8")
    return whole.view("<u4").reshape(len(whole), 4).astype(np.uint32)


def _unit_floats(words: np.ndarray) -> np.ndarray:
    """The low 23 bits as the fraction of a float32 in [1, 2), minus 1."""
    bits = (words & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)
    return bits.view(np.float32) - np.float32(1)
