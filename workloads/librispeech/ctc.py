"""Connectionist temporal classification (Graves et al. 2006): loss and greedy decoding.

Piece 0 is the blank.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

BLANK = 0
# (values, paddings): logits [batch, frame, piece] or tokens [batch, token], and where
# they are padding: 1, else 0.
Padded = tuple[jax.Array, jax.Array]


def ctc_loss(
    labels: Padded,
    logits: Padded,
    mask: jax.Array | None = None,
    label_smoothing: Any = 0.0,
) -> dict[str, jax.Array]:
    """Negative log-likelihood of the tokens, over all their alignments.

    Args:
      labels: tokens [batch, token] of any numeric type, padding at the end.
      logits: [batch, frame, piece].
      mask: [batch], 0 leaves out an utterance.
      label_smoothing: has no effect.

    Returns:
      `per_example` [batch] and its sum `summed`; `n_valid_examples`, the number of
      tokens of the utterances that count, but 1 at least. Tokens that do not fit into
      the frames cost about 100,000 per utterance.
    """
    del label_smoothing
    tokens, token_paddings = labels
    values, frame_paddings = logits
    if mask is not None:
        kept = mask > 0
        # Before the loss: afterwards NaN in padding would be in the gradient already.
        values = jnp.where(kept[:, None, None], values, 0.0)
        token_paddings = jnp.where(kept[:, None], token_paddings, 1.0)
    # Optax picks log-probabilities by a product with one-hot vectors, in which
    # accelerators would round them to 10 bits.
    with jax.default_matmul_precision("highest"):
        per_example = optax.ctc_loss(
            values,
            frame_paddings,
            tokens.astype(jnp.int32),
            token_paddings,
            blank_id=BLANK,
        )
    if mask is not None:
        per_example = jnp.where(kept, per_example * mask, 0.0)
    return {
        "summed": per_example.sum(),
        "n_valid_examples": jnp.maximum(jnp.sum(1.0 - token_paddings), 1.0),
        "per_example": per_example,
    }


def greedy_decode(logits: jax.Array, paddings: jax.Array) -> Padded:
    """The most likely piece of each valid frame, repeats collapsed, without blanks.

    Args:
      logits: [batch, frame, piece].
      paddings: [batch, frame].

    Returns:
      Pieces, int32 [batch, frame], at the start of each row with 0 after them, and how
      many there are, int32 [batch].
    """
    batch, frames, _ = logits.shape
    best = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    before = jnp.pad(best[:, :-1], ((0, 0), (1, 0)), constant_values=BLANK)
    kept = (best != BLANK) & (best != before) & (paddings < 1)
    # What is not kept is written beyond the end, which drops it.
    place = jnp.where(kept, jnp.cumsum(kept, axis=1) - 1, frames)
    rows = jnp.arange(batch)[:, None]
    pieces = jnp.zeros_like(best).at[rows, place].set(best, mode="drop")
    return pieces, jnp.sum(kept, axis=1, dtype=jnp.int32)
