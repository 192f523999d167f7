"""Word error rate on the host: AlgoPerf's, and the usual one beside it."""

from collections.abc import Callable, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

Detokenize = Callable[[list[list[int]]], list[str]]


def word_error_rates(
    references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, float]:
    """`wer` and `wer_strict` over all utterances together, as fractions.

    `wer_strict` is the sum of word edits (insertions, deletions, substitutions; words
    are separated by white space) over the sum of reference words.

    `wer` is what AlgoPerf's targets are in: the same, of `algoperf_text` of each text.
    So two words per utterance, `shape=(),` and `dtype=string)`, are always right; the
    first word has a prefix and the last a suffix, whose quotes differ if only one of
    the two texts has an apostrophe; and an empty text counts three words. `wer_strict`
    is about 1.1 times as large on LibriSpeech.
    """
    counts = count_word_errors(references, hypotheses)
    # One word at least, so that a corpus without any words is not a division by zero.
    return {name: errors / max(words, 1) for name, (errors, words) in counts.items()}


def count_word_errors(
    references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """(edits, reference words), each summed, under `wer` and `wer_strict`."""
    algoperf, strict = np.zeros(2, int), np.zeros(2, int)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        strict += _edits_and_words(reference, hypothesis)
        algoperf += _edits_and_words(
            algoperf_text(reference), algoperf_text(hypothesis)
        )
    return {
        "wer": (int(algoperf[0]), int(algoperf[1])),
        "wer_strict": (int(strict[0]), int(strict[1])),
    }


def algoperf_text(text: str) -> str:
    """The text as AlgoPerf's metric sees it: a printed TensorFlow string tensor."""
    return f"tf.Tensor({text.encode()!r}, shape=(), dtype=string)"


def detokenized(
    pieces: np.ndarray, lengths: np.ndarray, detokenize: Detokenize
) -> list[str]:
    """Texts of the first `lengths` [utterance] of `pieces` [utterance, piece]."""
    rows = zip(pieces.astype(np.int32, copy=False), lengths, strict=True)
    return detokenize([row[:length].tolist() for row, length in rows])


def _edits_and_words(reference: str, hypothesis: str) -> tuple[int, int]:
    words = reference.split()
    return Levenshtein.distance(words, hypothesis.split()), len(words)
