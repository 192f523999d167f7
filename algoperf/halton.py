"""Quasi-random points: a scrambled Halton sequence with AlgoPerf's constants.

Van der Corput sequences in the largest primes below 1,000, one per dimension, with
permuted digits and a shift (Bousquet et al. 2017, "Critical hyper-parameters"); the
first 100 points are left out. Unlike AlgoPerf's, the sequence is not shuffled with an
unseeded generator afterwards: point i is the same in every process.
"""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algoperf.facts import UserError

_SKIPPED = 100
_LARGEST_PRIME = 991


def generate_search(
    search_space: Mapping[str, Mapping[str, Any]], num_trials: int
) -> list[Any]:
    """The first `num_trials` points of a search space, as namedtuples.

    Args:
      search_space: name -> {"feasible_points": [...]} or
        {"min": ..., "max": ..., "scaling": "linear" | "log"}; every name takes one
        dimension, in this order, even where it has a single feasible point.
    """
    hyperparameters = collections.namedtuple("Hyperparameters", list(search_space))
    units = halton_points(num_trials, len(search_space))
    return [
        hyperparameters(
            *(
                scale(unit, space)
                for unit, space in zip(row, search_space.values(), strict=True)
            )
        )
        for row in units
    ]


def halton_points(count: int, dimensions: int) -> list[tuple[float, ...]]:
    """`count` points in [0, 1)^dimensions; point i does not depend on `count`."""
    columns = [_van_der_corput(count, base) for base in _bases(dimensions)]
    return [tuple(row) for row in zip(*columns, strict=True)]


def scale(unit: float, space: Mapping[str, Any]) -> Any:
    """Maps u in [0, 1) into one dimension of a search space."""
    if "feasible_points" in space:
        points: Sequence[Any] = space["feasible_points"]
        return points[int(unit * len(points))]
    low, high = space["min"], space["max"]
    if space.get("scaling", "linear") == "log":
        return low * math.exp(unit * math.log(high / low))
    return low + unit * (high - low)


def _bases(dimensions: int) -> list[int]:
    primes = [
        n
        for n in range(3, _LARGEST_PRIME + 1, 2)
        if all(n % factor for factor in range(3, math.isqrt(n) + 1, 2))
    ]
    if dimensions > len(primes):
        raise UserError(
            f"a search space may have {len(primes)} names at most, not {dimensions}: "
            "give those with a single feasible point a default in the submission"
        )
    return primes[len(primes) - dimensions :]


def _van_der_corput(count: int, base: int) -> list[float]:
    """Points 101 ... 100 + count of the scrambled and shifted sequence in one base."""
    random = np.random.RandomState(base)
    digits = np.arange(1, base)
    random.shuffle(digits)
    permuted = [0, *digits.tolist()]
    shift = random.uniform()
    values = []
    for index in range(1 + _SKIPPED, 1 + _SKIPPED + count):
        value, weight = 0.0, 1.0 / base
        while index:
            index, digit = divmod(index, base)
            value += permuted[digit] * weight
            weight /= base
        values.append((value + shift) % 1.0)
    return values
