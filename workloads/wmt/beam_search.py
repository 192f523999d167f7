"""Beam search with a length penalty (Wu et al. 2016), as one program on the device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_NEVER = -np.inf  # the log-probability of what must not be chosen
# (tokens [batch, beam], index, cache) -> (logits [batch, beam, token], cache)
Step = Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, Any]]


class Search(NamedTuple):
    """Where a search stands after `index` tokens.

    `live` are the hypotheses that go on, best first, and `log_probs` theirs;
    `cache` is what `step` needs of them. `best` is the best that has ended, `score`
    its log-probability over its length penalty.
    """

    index: jax.Array  # []
    live: jax.Array  # [batch, beam, length]
    log_probs: jax.Array  # [batch, beam]
    cache: Any  # leaves [batch, beam, ...]
    best: jax.Array  # [batch, length]
    score: jax.Array  # [batch]


def beam_search(
    step: Step,
    cache: Any,
    wanted: jax.Array,
    length: int,
    *,
    beams: int = 4,
    alpha: float = 0.6,
    end: int = 2,
) -> jax.Array:
    """The best hypothesis of each sentence: tokens [batch, length], then zeros.

    The best is that of the highest log-probability over ((5 + n) / 6)^alpha, with n
    tokens up to and with `end`; where none has ended after `length` tokens, the most
    probable one. Every step keeps the `beams` best that have not ended. The search
    is over when no live hypothesis can still win: its log-probability only falls, and
    the penalty is at most that of `length`. A sentence's result does not depend on
    the others in its batch.

    Args:
      step: what follows on the last tokens; the first are 0.
      cache: for no tokens; leaves [batch, beam, ...] that move with their hypothesis.
      wanted: [batch], false for padding: nothing is searched for there.
    """
    batch = len(wanted)
    first = jnp.asarray([0.0] + [_NEVER] * (beams - 1))
    start = Search(
        index=jnp.zeros((), jnp.int32),
        live=jnp.zeros((batch, beams, length), jnp.int32),
        log_probs=jnp.broadcast_to(first[None], (batch, beams)),
        cache=cache,
        best=jnp.zeros((batch, length), jnp.int32),
        score=jnp.full((batch,), _NEVER),
    )
    longest = _penalty(length, alpha)

    def goes_on(search: Search) -> jax.Array:
        can_win = search.log_probs[:, 0] / longest > search.score
        return (search.index < length) & jnp.any(can_win & wanted)

    def advance(search: Search) -> Search:
        return _advance(step, search, alpha, end)

    found = lax.while_loop(goes_on, advance, start)
    has_ended = (found.score > _NEVER)[:, None]
    return jnp.where(has_ended, found.best, found.live[:, 0])


def _advance(step: Step, search: Search, alpha: float, end: int) -> Search:
    """One token more for every live hypothesis."""
    index, beams = search.index, search.live.shape[1]
    last = lax.dynamic_index_in_dim(
        search.live, jnp.maximum(index - 1, 0), axis=2, keepdims=False
    )  # zeros at first, as nothing is written then
    logits, cache = step(last, index, search.cache)
    # Twice the beams: at most one candidate of each hypothesis ends it.
    log_probs, parents, tokens = _candidates(logits, search.log_probs, 2 * beams)
    ends = tokens == end
    extended = _of(parents, search.live)
    at_index = jnp.arange(extended.shape[2]) == index
    extended = jnp.where(at_index[None, None], tokens[..., None], extended)

    scores = jnp.where(ends, log_probs / _penalty(index + 1, alpha), _NEVER)
    top = jnp.argmax(scores, axis=1, keepdims=True)
    score = jnp.take_along_axis(scores, top, axis=1)[:, 0]
    is_better = score > search.score
    ended = _of(top, extended)[:, 0]

    log_probs, kept = lax.top_k(jnp.where(ends, _NEVER, log_probs), beams)
    survivors = _of(kept, parents)
    return Search(
        index=index + 1,
        live=_of(kept, extended),
        log_probs=log_probs,
        cache=jax.tree.map(lambda leaf: _of(survivors, leaf), cache),
        best=jnp.where(is_better[:, None], ended, search.best),
        score=jnp.where(is_better, score, search.score),
    )


def _candidates(
    logits: jax.Array, log_probs: jax.Array, count: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The best continuations: log-probabilities, hypotheses, tokens [batch, count]."""
    # First of each hypothesis, then of all: a vocabulary is sorted through once.
    each = min(count, logits.shape[-1])
    highest, tokens = lax.top_k(logits, each)
    norm = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    totals = log_probs[..., None] + highest - norm
    flat = totals.reshape(len(totals), -1)
    best, places = lax.top_k(flat, min(count, flat.shape[1]))
    tokens = jnp.take_along_axis(tokens.reshape(flat.shape), places, axis=1)
    return best, places // each, tokens


def _of(rows: jax.Array, array: jax.Array) -> jax.Array:
    """Rows [batch, n] of each sentence's array [batch, beam, ...]."""
    return jax.vmap(lambda own, of_sentence: of_sentence[own])(rows, array)


def _penalty(tokens: Any, alpha: float) -> Any:
    return ((5.0 + tokens) / 6.0) ** np.float32(alpha)
