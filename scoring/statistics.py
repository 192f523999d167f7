"""How sure a leaderboard is: a seeded bootstrap over studies, and over workloads too.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993): percentile intervals.
Studies are the repetitions of a benchmark. One resample draws, for every submission
and workload on its own, as many studies as there are, with replacement, and scores
them by the whole rules: medians, held-out workloads, ratios to the best of that
resample. The nested kind then draws as many workloads as there are.

With three or five studies the intervals are coarse and rather too narrow.
"""

from dataclasses import dataclass

import numpy as np

from scoring.cube import median_gains
from scoring.rules import Rules

RESAMPLES = 10_000
# Pairs of submissions times resamples: with more than 70 submissions there are fewer
# resamples, so that a large field does not take minutes.
MOST_COMPARISONS = 50_000_000
SEED = 0
LEVEL = 0.95
# Resamples at a time: memory stays bounded however many there are.
_CHUNK = 500


@dataclass(frozen=True)
class Interval:
    """A percentile interval; `level` is its coverage, 0.95 for 95 %."""

    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True, eq=False)
class Resamples:
    """Bootstrap resamples of a leaderboard.

    `scores` and `nested_scores`: [resamples, submissions], the latter over workloads
    too. `ordered` are the studies' times sorted, [submissions, needed workloads,
    studies]; `middle` the places in them of the middle two studies of each resample
    (equal for an odd number), [2, resamples, submissions, needed workloads]: small
    numbers, so that ten thousand resamples of many submissions fit in memory.
    """

    submissions: tuple[str, ...]
    seed: int
    scores: np.ndarray
    nested_scores: np.ndarray
    ordered: np.ndarray
    middle: np.ndarray

    def medians(self, submission: str) -> np.ndarray:
        """Median seconds in every resample, [resamples, needed workloads]."""
        row = self.submissions.index(submission)
        return medians_at(self.ordered[row], self.middle[:, :, row])


@dataclass(frozen=True)
class Uncertainty:
    """What a bootstrap says of one submission.

    `rank_1` is the share of resamples in which no submission scores higher, `beats`
    the share in which this one scores higher, by the name of the other.
    """

    submission: str
    score: Interval
    rank: Interval
    rank_1: float
    beats: dict[str, float]


def default_resamples(submissions: int) -> int:
    """10,000, and fewer for very many submissions."""
    return max(200, min(RESAMPLES, MOST_COMPARISONS // max(1, submissions**2)))


def bootstrap(
    study_seconds: np.ndarray,
    submissions: tuple[str, ...],
    rules: Rules,
    by_trapezoid: bool = False,
    resamples: int | None = None,
    seed: int = SEED,
) -> Resamples:
    """Draws resamples and scores them.

    Args:
      study_seconds: the fastest trial of every study, infinite where none reached
        the target; [submissions, needed workloads, studies].
      resamples: `default_resamples` without.
    """
    resamples = resamples or default_resamples(len(submissions))
    draws = np.random.default_rng(seed)
    studies = study_seconds.shape[-1]
    small = np.min_scalar_type(studies)
    ordered = np.sort(study_seconds, axis=-1)
    middle = np.empty((2, resamples, *ordered.shape[:2]), dtype=small)
    scores, nested = np.empty((2, resamples, len(submissions)))
    for first in range(0, resamples, _CHUNK):
        part = slice(first, min(first + _CHUNK, resamples))
        count = part.stop - part.start
        chosen = draws.integers(studies, size=(count, *ordered.shape), dtype=small)
        middle[:, part] = middle_places(chosen)
        medians = medians_at(ordered, middle[:, part])
        gained = median_gains(medians, rules, by_trapezoid)
        scores[part] = gained.mean(axis=-1)
        times = _times_drawn(draws, count, gained.shape[-1])
        nested[part] = np.einsum("rsw,rw->rs", gained, times) / gained.shape[-1]
    return Resamples(submissions, seed, scores, nested, ordered, middle)


def middle_places(chosen: np.ndarray) -> np.ndarray:
    """Which of the sorted studies are the middle two of each resample, [2, ...].

    The median of sorted values is the value at the median of their places.

    Args:
      chosen: which of the sorted studies a resample has, [..., studies].
    """
    places = np.sort(chosen, axis=-1)
    count = places.shape[-1]
    return np.stack([places[..., (count - 1) // 2], places[..., count // 2]])


def medians_at(ordered: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The medians of resamples, [resamples, ...].

    Args:
      ordered: sorted values, [..., studies].
      middle: `middle_places`, [2, resamples, ...].
    """
    low, high = (
        np.take_along_axis(ordered[None], place[..., None], axis=-1)[..., 0]
        for place in middle
    )
    return np.where(low == high, low, (low + high) / 2)


def _times_drawn(draws: np.random.Generator, count: int, workloads: int) -> np.ndarray:
    """How often each workload was drawn, [count, workloads]."""
    chosen = draws.integers(workloads, size=(count, workloads))
    flat = chosen + workloads * np.arange(count)[:, None]
    return np.bincount(flat.ravel(), minlength=count * workloads).reshape(count, -1)


def uncertainty(
    scores: np.ndarray, submissions: tuple[str, ...], level: float = LEVEL
) -> tuple[Uncertainty, ...]:
    """Intervals and probabilities from resampled scores, [resamples, submissions]."""
    beats = beaten(scores)
    ranks = 1 + np.stack(
        [(scores > own[:, None]).sum(axis=1) for own in scores.T], axis=1
    )
    tail = (1 - level) / 2
    score = np.quantile(scores, [tail, 1 - tail], axis=0)
    # A rank is a whole number: no interpolation between two of them.
    rank = np.quantile(ranks, [tail, 1 - tail], axis=0, method="inverted_cdf")
    return tuple(
        Uncertainty(
            name,
            Interval(float(score[0, own]), float(score[1, own]), level),
            Interval(int(rank[0, own]), int(rank[1, own]), level),
            float((ranks[:, own] == 1).mean()),
            {
                other: float(beats[own, place])
                for place, other in enumerate(submissions)
                if place != own
            },
        )
        for own, name in enumerate(submissions)
    )


def beaten(scores: np.ndarray) -> np.ndarray:
    """P(row scores higher than column), [submissions, submissions]; ties are neither's.

    Args:
      scores: [resamples, submissions].
    """
    return np.stack([(own[:, None] > scores).mean(axis=0) for own in scores.T])


def separated(scores: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Whether two submissions differ, [submissions, submissions].

    They do if one scores higher in so many resamples that no more than half of
    1 - level are left: the interval of the difference leaves out zero.
    """
    apart = beaten(scores) >= 1 - (1 - level) / 2
    return apart | apart.T


def groups(
    order: tuple[str, ...], submissions: tuple[str, ...], apart: np.ndarray
) -> tuple[tuple[str, ...], ...]:
    """Runs of neighbouring places in which no two submissions are separated.

    As the bars of a critical-difference diagram (Demšar, "Statistical Comparisons of
    Classifiers over Multiple Data Sets", 2006): as long as they can be; they may
    overlap; a submission that is separated from its neighbours is in none.

    Args:
      order: the submissions, best first.
      apart: `separated`, by the order of `submissions`.
    """
    place = [submissions.index(name) for name in order]
    found: list[tuple[int, int]] = []
    for start in range(len(order)):
        end = start + 1
        while (
            end < len(order) and not apart[np.ix_([place[end]], place[start:end])].any()
        ):
            end += 1
        if end - start > 1 and not (found and found[-1][1] >= end):
            found.append((start, end))
    return tuple(order[start:end] for start, end in found)


def quantile_interval(values: np.ndarray, level: float = LEVEL) -> Interval:
    """The percentile interval of resampled values, which may be infinite."""
    tail = (1 - level) / 2
    # Whole order statistics: between a finite and an infinite one lies no number.
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high), level)
