"""Beam search against all sequences there are, and against a plain one in Python."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workloads.wmt.beam_search import beam_search

END = 2


def table_of(batch: int, vocab_size: int, contexts: int, seed: int, scale: float = 1.0):
    """Random logits of the next token after (step, last token, the one before)."""
    random = np.random.default_rng(seed)
    shape = (batch, contexts, vocab_size, vocab_size, vocab_size)
    return (scale * random.normal(size=shape)).astype(np.float32)


def search(table, length, beams=4, alpha=0.6, wanted=None):
    """`beam_search` on a table; its cache is the token before the last.

    So a hypothesis with the cache of another one would go another way. Returns the
    tokens, and how many steps were taken.
    """
    batch, count = len(table), 0
    wanted = np.ones(batch, bool) if wanted is None else wanted
    table = jnp.asarray(table)

    def step(tokens, index, cache):
        jax.debug.callback(counted)
        rows = jnp.arange(batch)[:, None]
        return table[rows, index, tokens, cache["before"]], {"before": tokens}

    def counted():
        nonlocal count
        count += 1

    cache = {"before": jnp.zeros((batch, beams), jnp.int32)}
    run = jax.jit(
        lambda: beam_search(
            step, cache, jnp.asarray(wanted), length, beams=beams, alpha=alpha, end=END
        )
    )
    found = np.asarray(run())
    jax.effects_barrier()
    return found, count


def log_prob(table, sequence):
    """The log-probability of a sequence of one sentence, in float64."""
    total, last, before = 0.0, 0, 0
    for index, token in enumerate(sequence):
        logits = table[index, last, before].astype(np.float64)
        total += logits[token] - np.log(np.sum(np.exp(logits)))
        last, before = token, last
    return total


def penalty(count, alpha):
    return ((5 + count) / 6) ** alpha


def ended(sequence):
    return sequence.count(END) == 1 and sequence[-1] == END


def exhaustive(table, length, alpha):
    """The best of all sequences that end within `length` tokens."""
    vocab_size = table.shape[-1]
    everything = (
        sequence
        for count in range(1, length + 1)
        for sequence in itertools.product(range(vocab_size), repeat=count)
        if ended(sequence)
    )
    return max(everything, key=lambda s: log_prob(table, s) / penalty(len(s), alpha))


def plain(table, length, beams, alpha):
    """A beam search with lists, to the last step; finished ones are all kept."""
    live, finished = [((), 0.0)], []
    for index in range(length):
        candidates = sorted(
            (
                ((*sequence, token), log_prob(table, (*sequence, token)))
                for sequence, _ in live
                for token in range(table.shape[-1])
            ),
            key=lambda pair: -pair[1],
        )[: 2 * beams]
        finished += [
            (sequence, total / penalty(index + 1, alpha))
            for sequence, total in candidates
            if sequence[-1] == END
        ]
        live = [pair for pair in candidates if pair[0][-1] != END][:beams]
    best = finished or live
    return max(best, key=lambda pair: pair[1])[0]


def filled(sequence, length):
    return list(sequence) + [0] * (length - len(sequence))


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_wide_enough_beams_find_the_best_of_all(alpha, seed):
    table, length = table_of(2, 4, 4, seed, scale=1.5), 4
    found, _ = search(table, length, beams=3**3, alpha=alpha)
    for row, tokens in enumerate(found):
        expected = exhaustive(table[row], length, alpha)
        assert tokens.tolist() == filled(expected, length)


@pytest.mark.parametrize("beams", [1, 2, 4])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_narrow_beams_find_what_a_plain_search_finds(beams, alpha):
    table, length = table_of(6, 9, 7, seed=beams, scale=2.0), 7
    found, _ = search(table, length, beams, alpha)
    expected = [filled(plain(own, length, beams, alpha), length) for own in table]
    assert found.tolist() == expected


def test_where_nothing_ends_the_most_probable_is_taken():
    table = table_of(3, 12, 5, seed=3)
    table[..., END] = -1e9  # never among the candidates
    found, count = search(table, 5)
    assert found.tolist() == [list(plain(own, 5, 4, 0.6)) for own in table]
    assert count == 5


def test_the_search_is_over_when_no_live_hypothesis_can_win():
    table = table_of(2, 6, 20, seed=4, scale=0.1)
    table[..., END] -= 9.0
    table[:, 2, ..., END] += 18.0  # all but certain to end with the third token
    found, count = search(table, 20)
    assert [row.tolist().index(END) for row in found] == [2, 2]
    assert 3 <= count <= 4
    assert found.tolist() == [filled(plain(own, 20, 4, 0.6), 20) for own in table]


def test_sentences_do_not_depend_on_their_batch():
    table = table_of(5, 7, 8, seed=5, scale=2.0)
    together, _ = search(table, 8)
    alone = [search(table[i : i + 1], 8)[0][0] for i in range(5)]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_padding_is_not_searched_for():
    table = table_of(2, 6, 9, seed=6, scale=0.1)
    table[1, ..., END] = -1e9  # alone it would go on to the last step
    table[0, ..., END] += 9.0
    whole, count = search(table, 9)
    assert count == 9
    found, count = search(table, 9, wanted=np.array([True, False]))
    assert count < 3
    np.testing.assert_array_equal(found[0], whole[0])


def test_not_a_number_ends_the_search():
    _, count = search(np.full((2, 5, 4, 4, 4), np.nan, np.float32), 5)
    assert count <= 1
