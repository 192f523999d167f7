"""CTC: Optax's loss and its gradient against other exact ways to compute them.

`gathered` takes the probabilities of a target's pieces by their indices, where Optax
multiplies by one-hot vectors; it then goes through the frames in the same way. In
`associative` the frames are combined in pairs, log n deep: a frame is a matrix over
states, whose product is over all of them, so only few tokens are affordable. All in
turns in one process; the differences of values and gradients are printed too.

  python benchmarks/speech_ctc.py --batch=4 --frames=500 --tokens=256
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from speech import in_turns

from workloads.librispeech.ctc import BLANK, ctc_loss

PIECES = 1024
NEVER = -1e5  # Optax's logarithm of 0
Case = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def case(batch: int, frames: int, tokens: int) -> Case:
    """Logits, their paddings, tokens and theirs: from half as long on."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(batch, frames, PIECES)).astype(np.float32)
    pieces = rng.integers(1, PIECES, (batch, tokens)).astype(np.int32)

    def paddings(length: int) -> np.ndarray:
        lengths = np.linspace(length, length // 2, batch)
        return (np.arange(length) >= lengths[:, None]).astype(np.float32)

    return (
        jnp.asarray(logits),
        jnp.asarray(paddings(frames)),
        jnp.asarray(pieces),
        jnp.asarray(paddings(tokens)),
    )


def ours(logits: Any, frame_paddings: Any, tokens: Any, token_paddings: Any) -> Any:
    labels = tokens, token_paddings
    return ctc_loss(labels, (logits, frame_paddings))["per_example"]


def emissions(logits: jax.Array, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log-probabilities [batch, frame, 2 token + 1] of blank, token, blank, ..., and
    where a state may be entered from two before it [batch, 2 token + 1]."""
    batch, count = tokens.shape
    states = jnp.full((batch, 2 * count + 1), BLANK, jnp.int32).at[:, 1::2].set(tokens)
    before = jnp.pad(states[:, :-2], ((0, 0), (2, 0)), constant_values=BLANK)
    log_p = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(log_p, states[:, None, :], axis=2)
    return picked, (states != BLANK) & (states != before)


def last_two(alpha: jax.Array, token_paddings: jax.Array) -> jax.Array:
    """The loss of the states after the last frame [batch, state]."""
    last = 2 * jnp.sum(1 - token_paddings, axis=1).astype(jnp.int32)
    ends = jnp.stack([last, jnp.maximum(last - 1, 0)], axis=1)
    return -jax.nn.logsumexp(jnp.take_along_axis(alpha, ends, axis=1), axis=1)


def gathered(logits: Any, frame_paddings: Any, tokens: Any, token_paddings: Any) -> Any:
    picked, skips = emissions(logits, tokens)

    def shifted(alpha: jax.Array, by: int) -> jax.Array:
        return jnp.pad(alpha[:, :-by], ((0, 0), (by, 0)), constant_values=NEVER)

    def frame(alpha: jax.Array, now: Any) -> Any:
        log_p, padding = now
        ways = [
            alpha,
            shifted(alpha, 1),
            jnp.where(skips, shifted(alpha, 2), NEVER),
        ]
        new = jax.nn.logsumexp(jnp.stack(ways), axis=0) + log_p
        return jnp.where(padding[:, None] > 0, alpha, new), None

    start = jnp.full(picked[:, 0].shape, NEVER).at[:, 0].set(0.0)
    first = jnp.maximum(shifted(start, 1), start) + picked[:, 0]
    rest = jnp.moveaxis(picked[:, 1:], 1, 0), frame_paddings[:, 1:].T
    alpha, _ = jax.lax.scan(frame, first, rest)
    return last_two(alpha, token_paddings)


def associative(
    logits: Any, frame_paddings: Any, tokens: Any, token_paddings: Any
) -> Any:
    picked, skips = emissions(logits, tokens)
    states = picked.shape[-1]
    to, origin = jnp.arange(states)[None, :], jnp.arange(states)[:, None]
    allowed = (to == origin) | (to == origin + 1)
    allowed = allowed | ((to == origin + 2) & skips[:, None, :])
    matrices = jnp.where(allowed[:, None], picked[:, :, None, :], NEVER)
    nothing = jnp.where(to == origin, 0.0, NEVER)[None, None]
    matrices = jnp.where(frame_paddings[:, :, None, None] > 0, nothing, matrices)

    def product(left: jax.Array, right: jax.Array) -> jax.Array:
        return jax.nn.logsumexp(left[..., :, :, None] + right[..., None, :, :], axis=-2)

    # The first frame is entered in state 0 or 1, as if from a state before them.
    whole = jax.lax.associative_scan(product, matrices, axis=1)[:, -1]
    return last_two(whole[:, 0], token_paddings)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=500, help="of 40 ms")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    flags = parser.parse_args()
    sizes = {
        (flags.frames, flags.tokens): {"Optax's (used)": ours, "gathered": gathered},
        (24, 6): {
            "Optax's (used)": ours,
            "gathered": gathered,
            "associative": associative,
        },
    }
    for (frames, tokens), ways in sizes.items():
        print(f"{flags.batch} x {frames} frames, {tokens} tokens")
        compare(case(flags.batch, frames, tokens), ways, flags.rounds)


def compare(inputs: Case, ways: dict[str, Callable[..., Any]], rounds: int) -> None:
    """Times loss and gradient of each way, and says how they differ."""
    logits, *others = inputs

    def work(loss: Callable[..., Any]) -> Callable[[], Any]:
        def total(logits: jax.Array) -> jax.Array:
            return loss(logits, *others).sum()

        compiled = jax.jit(jax.value_and_grad(total))
        return lambda: compiled(logits)

    works = {name: work(loss) for name, loss in ways.items()}
    results = {name: work() for name, work in works.items()}
    seconds = in_turns(works, rounds)
    value, gradient = next(iter(results.values()))
    for name, (other, its_gradient) in results.items():
        print(
            f"  {name}: {1e3 * seconds[name]:.1f} ms, differs by "
            f"{abs(float(other / value) - 1):.1e} of the loss, "
            f"{float(jnp.abs(its_gradient - gradient).max()):.1e} in the gradient"
        )


if __name__ == "__main__":
    main()
