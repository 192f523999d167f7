"""The random numbers of an example are its own, and those of a published generator."""

import math

import numpy as np
import pytest

from algoperf.data import permutation
from workloads.imagenet.random_draws import below, epoch_draws, example_draws, unit

COUNT = 41


def test_draws_are_a_function_of_seed_epoch_and_example():
    draws = example_draws(3, 5, 1000, COUNT)
    assert draws == example_draws(3, 5, 1000, COUNT)
    assert draws[:10] == example_draws(3, 5, 1000, 10)  # asking for more changes none
    others = [(4, 5, 1000), (3, 6, 1000), (3, 5, 1001), (5, 3, 1000), (1000, 5, 3)]
    for other in others:
        assert not set(draws) & set(example_draws(*other, COUNT))


def test_draws_are_independent_of_the_order_of_the_examples():
    """The permutation of the epoch uses the same key."""
    shuffle = np.random.Philox(key=[3, 5]).random_raw(4000)
    np.testing.assert_array_equal(
        permutation(4000, 3, 5), np.argsort(shuffle, kind="stable")
    )
    used = set(shuffle.tolist())
    assert not used & set(epoch_draws(3, 5, 4000).tolist())
    for example in range(50):
        assert not used & set(example_draws(3, 5, example, COUNT))


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox-4x64-10 as Salmon et al. 2011 define it: ten rounds of one block."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        left, right = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b = right >> 64 ^ b ^ k, right % 2**64
        c, d = left >> 64 ^ d ^ m, left % 2**64
        k = (k + 0x9E3779B97F4A7C15) % 2**64
        m = (m + 0xBB67AE8584CAA73B) % 2**64
    return [a, b, c, d]


def test_draws_are_those_of_the_published_generator():
    """Another NumPy must not change what a seed means."""
    blocks = [philox([i, 1_281_166, 0, 1], [2026, 89]) for i in (1, 2)]
    assert example_draws(2026, 89, 1_281_166, 8) == blocks[0] + blocks[1]
    blocks = [philox([i, 0, 0, 2], [2026, 89]) for i in (1, 2)]
    assert epoch_draws(2026, 89, 8).tolist() == blocks[0] + blocks[1]


def test_draws_become_numbers_in_their_range():
    largest = 2**64 - 1
    assert (unit(0), unit(1 << 63)) == (0, 0.5)
    assert unit(largest) < 1
    assert (below(0, 7), below(largest, 7), below(largest, 1)) == (0, 6, 0)
    draws = example_draws(1, 0, 0, 70_000)
    counts = np.bincount([below(draw, 7) for draw in draws], minlength=7)
    assert abs(counts - 10_000).max() < 4 * math.sqrt(10_000)
    assert np.mean([unit(draw) for draw in draws]) == pytest.approx(0.5, abs=0.005)
