"""Average precision per task, exact where scores are tied; NumPy only."""

import math

import numpy as np


def mean_average_precision(
    scores: np.ndarray, labels: np.ndarray, valid: np.ndarray
) -> float:
    """The mean over tasks of their average precision; NaN without any task.

    A task counts if it has a positive label and anything else: as in AlgoPerf, missing
    labels and padding count for negatives in that, but not in the precision. So a task
    of positives alone, and of padding, has precision 1. A NaN among the scores of a
    task that counts makes the mean NaN.

    Args:
      scores: [graph, task] in [0, 1], compared as float32 (as sigmoids in float32
        they are tied where they saturate).
      labels: bool [graph, task].
      valid: bool [graph, task], False where the label is missing.
    """
    # A task's numbers side by side: to collect them one by one takes longer.
    tasks = (np.ascontiguousarray(array.T) for array in (scores, labels, valid))
    values = []
    for score, label, is_valid in zip(*tasks, strict=True):
        is_positive = label & is_valid
        if is_positive.any() and not is_positive.all():
            values.append(average_precision(score[is_valid], label[is_valid]))
    return float(np.mean(values)) if values else math.nan


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Sum over thresholds of (increase of recall) x precision, in float64.

    Every distinct score is a threshold: all that have it are found together.

    Args:
      scores: [example] in [0, 1], compared as float32.
      labels: bool [example], at least one of them True.

    Raises:
      ValueError: a score is outside of [0, 1].
    """
    scores = scores.astype(np.float32)
    if np.isnan(scores).any():
        return math.nan
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(
            f"scores must be in [0, 1], and are from {scores.min()} to {scores.max()}: "
            "give probabilities, not logits"
        )
    # The bits of floats from 0 to 1 are in the order of their values and leave the
    # highest two free: with the label as the lowest, one plain sort carries it along.
    bits = np.abs(scores).view(np.uint32)
    keys = np.sort((bits << np.uint32(1)) | labels.astype(np.uint32))[::-1]
    found = np.cumsum(keys & np.uint32(1), dtype=np.int64)
    ordered = keys >> np.uint32(1)
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    recall_steps = np.diff(found[last], prepend=0) / found[-1]
    return float(np.sum(recall_steps * found[last] / (last + 1)))
