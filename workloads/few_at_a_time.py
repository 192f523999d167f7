"""Work on a batch that CPUs do a few examples at a time."""

import functools
from collections.abc import Callable
from typing import Any

import jax

# So many images of fastMRI, or utterances of LibriSpeech, and what is made of them on
# the way, stay in a core's caches; a whole batch goes through memory at every step.
AT_A_TIME = 2


def few_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, for examples that do not depend on each other.

    Args:
      function: of arrays with the batch first, to arrays with the batch first.
    """

    def one(example: tuple[Any, ...]) -> Any:
        batch = jax.tree.map(lambda leaf: leaf[None], example)
        return jax.tree.map(lambda leaf: leaf[0], function(*batch))

    def on_cpu(*batch: Any) -> Any:
        return jax.lax.map(one, batch, batch_size=AT_A_TIME)

    @functools.wraps(function)
    def mapped(*batch: Any) -> Any:
        return jax.lax.platform_dependent(*batch, cpu=on_cpu, default=function)

    return mapped
