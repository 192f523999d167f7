"""Word error rates: AlgoPerf's log values, its quoting, and the honest rate."""

import random

import numpy as np
import pytest

from workloads.librispeech.wer import (
    algoperf_text,
    count_word_errors,
    detokenized,
    word_error_rates,
)


def texts(utterances: int, words: int) -> list[str]:
    """So many utterances, none empty, with so many words in total."""
    counts = np.full(utterances, words // utterances)
    counts[: words % utterances] += 1
    counts[0], counts[1] = 1, counts[1] + counts[0] - 1
    return [" ".join("word" for _ in range(count)) for count in counts]


@pytest.mark.parametrize(
    ("utterances", "words", "logged"),
    [(5348, 92_869, 0.8967218654950997), (2472, 44_289, 0.899579550301627)],
)
def test_empty_hypotheses_give_what_algoperf_logged(utterances, words, logged):
    # Of an untrained model, on LibriSpeech's validation and test utterances.
    rates = word_error_rates(texts(utterances, words), [""] * utterances)
    assert rates["wer"] == logged == words / (words + 2 * utterances)
    assert rates["wer_strict"] == 1.0


def test_the_text_is_a_printed_tensor():
    assert algoperf_text("HELLO YOU") == (
        "tf.Tensor(b'HELLO YOU', shape=(), dtype=string)"
    )
    assert algoperf_text("DON'T") == 'tf.Tensor(b"DON\'T", shape=(), dtype=string)'
    assert algoperf_text("") == "tf.Tensor(b'', shape=(), dtype=string)"
    # Bytes, not characters.
    assert algoperf_text("é") == "tf.Tensor(b'\\xc3\\xa9', shape=(), dtype=string)"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wer", "strict"),
    [
        ("A B C", "A B C", (0, 5), (0, 3)),
        ("A B C", "A X C", (1, 5), (1, 3)),
        # At either end a word has lost or won its affix: one more.
        ("A B C", "B C", (2, 5), (1, 3)),
        ("A B C", "A B", (2, 5), (1, 3)),
        ("A B C", "A C", (1, 5), (1, 3)),
        ("A B C", "X A B C", (2, 5), (1, 3)),
        # An apostrophe on one side changes the quotes: first and last word differ.
        ("IT IS MY DAY", "IT ISN'T MY DAY", (3, 6), (1, 4)),
        ("IT'S MY DAY", "IT'S MY DAY", (0, 5), (0, 3)),
        ("IT'S MY DAY", "ITS MY DAY", (2, 5), (1, 3)),
        ("", "", (0, 3), (0, 0)),
        ("", "A", (1, 3), (1, 0)),
        ("A", "", (1, 3), (1, 1)),
        ("A  B", "A B", (0, 4), (0, 2)),
        # White space outside parts the affixes from the words.
        ("A B", " A B ", (4, 4), (0, 2)),
    ],
)
def test_edits_and_words_by_hand(reference, hypothesis, wer, strict):
    counts = count_word_errors([reference], [hypothesis])
    assert counts == {"wer": wer, "wer_strict": strict}


def test_edits_and_words_are_summed_over_the_corpus():
    references, hypotheses = ["A B C", "D", ""], ["A B", "D", "E F"]
    counts = count_word_errors(references, hypotheses)
    assert counts == {"wer": (2 + 0 + 2, 5 + 3 + 3), "wer_strict": (1 + 0 + 2, 3 + 1)}
    rates = word_error_rates(references, hypotheses)
    assert rates == {"wer": 4 / 11, "wer_strict": 3 / 4}


def plain_distance(a: list[str], b: list[str]) -> int:
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, start=1):
        above, row = row, [i]
        for j, other in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != other)))
    return row[-1]


def test_distances_are_those_of_plain_python():
    rng = random.Random(3)
    words = ["A", "B", "C'S", "D"]
    pairs = [
        tuple(" ".join(rng.choices(words, k=rng.randrange(9))) for _ in range(2))
        for _ in range(100)
    ]
    for reference, hypothesis in pairs:
        counts = count_word_errors([reference], [hypothesis])
        strict = plain_distance(reference.split(), hypothesis.split())
        printed = [algoperf_text(text).split() for text in (reference, hypothesis)]
        assert counts["wer_strict"] == (strict, len(reference.split()))
        assert counts["wer"] == (plain_distance(*printed), len(printed[0]))


def test_a_corpus_without_words_or_utterances_is_no_division_by_zero():
    assert word_error_rates([], []) == {"wer": 0.0, "wer_strict": 0.0}
    assert word_error_rates([""], ["A B"])["wer_strict"] == 2.0


def test_references_without_hypotheses_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        word_error_rates(["A", "B"], ["A"])


def test_pieces_become_text_up_to_their_length():
    # Tokens are floats in AlgoPerf's batches; detokenisers want Python integers.
    pieces = np.array([[3.0, 1.0, 2.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    seen = []

    def detokenize(rows):
        seen.extend([type(piece) for piece in row] for row in rows)
        return ["".join("_abc"[piece] for piece in row) for row in rows]

    assert detokenized(pieces, np.array([3, 1, 0]), detokenize) == ["cab", "b", ""]
    assert seen == [[int] * 3, [int], []]
