"""Random keys under the names AlgoPerf gives them."""

import jax


def PRNGKey(seed: int) -> jax.Array:
    """A raw threefry key, uint32 [2], as submissions expect."""
    return jax.random.PRNGKey(seed)


def split(key: jax.Array, num: int = 2) -> jax.Array:
    """`num` independent keys, uint32 [num, 2]."""
    return jax.random.split(key, num)


def fold_in(key: jax.Array, data: int) -> jax.Array:
    """The key of the `data`-th item of a sequence."""
    return jax.random.fold_in(key, data)
