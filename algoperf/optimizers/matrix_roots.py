"""Inverse roots of symmetric matrices by matrix products alone."""

import jax
import jax.numpy as jnp

_MOST_ITERATIONS = 100
_TOLERANCE = 1e-6  # of the largest element of M - I; float32 gets to 3e-7 or so
_FAILED = 0.1
_SQUARINGS = 8


def inverse_roots(
    matrices: list[jax.Array],
    before: list[jax.Array],
    roots: list[int],
    ridge: float,
) -> list[jax.Array]:
    """(A + ridge x largest eigenvalue)^(-1 / p) of positive semi-definite A [n, n].

    By coupled Newton iterations, of all matrices of one size and p in one call. An
    eigendecomposition would do the same, but on an accelerator it is no matrix product
    and takes far longer, and in float32 it loses more of the small eigenvalues (error
    of 1.5 % against 0.4 % for 1024 x 1024 of condition 1e6 and p = 4; on a CPU it took
    2.9 s against 1.7 s).

    Args:
      before: what to return where an iteration does not converge: for a matrix with
        negative eigenvalues or nan.
      roots: p of every matrix.

    Returns:
      The roots; the identity for a matrix of zeros.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for number, (matrix, p) in enumerate(zip(matrices, roots, strict=True)):
        groups.setdefault((matrix.shape[0], p), []).append(number)
    found: dict[int, jax.Array] = {}
    # Full precision: TF32 rounds more than the smallest eigenvalues weigh.
    with jax.default_matmul_precision("highest"):
        for (_, p), numbers in groups.items():
            stacks = [jnp.stack([a[n] for n in numbers]) for a in (matrices, before)]
            compute = jax.vmap(
                lambda pair, p=p: _inverse_root(pair[0], pair[1], p, ridge)
            )
            found.update(zip(numbers, compute(stacks), strict=True))
    return [found[number] for number in range(len(matrices))]


def _inverse_root(matrix: jax.Array, before: jax.Array, p: int, ridge: float):
    """X_i -> A^(-1/p) with M_i = X_i^p A -> I (Guo & Higham 2006, section 3).

    T = ((p + 1) I - M) / p, X <- X T, M <- T^p M, which converges where the
    eigenvalues of M are between 0 and p + 1; begins with those of (p + 1) / 2 A.
    """
    identity = jnp.eye(matrix.shape[0])
    largest = _largest_eigenvalue(matrix)
    scaled = matrix / jnp.where(largest > 0, largest, 1.0) + ridge * identity
    start = (p + 1) / 2 / (1 + ridge)

    def goes_on(carry):
        iteration, _, _, error, last_error = carry
        # 1.2: rounding errors grow again once they are all that is left.
        is_better = error < 1.2 * last_error
        return (iteration < _MOST_ITERATIONS) & (error > _TOLERANCE) & is_better

    def step(carry):
        iteration, x, m, last_error, _ = carry
        t = ((p + 1) * identity - m) / p
        x, m = x @ t, jnp.linalg.matrix_power(t, p) @ m
        return iteration + 1, x, m, jnp.max(jnp.abs(m - identity)), last_error

    m = start * scaled
    first = (0, start ** (1 / p) * identity, m, jnp.max(jnp.abs(m - identity)), jnp.inf)
    _, x, _, error, _ = jax.lax.while_loop(goes_on, step, first)
    root = jnp.where(error < _FAILED, x * largest ** (-1 / p), before)
    return jnp.where(largest == 0, identity, root)


def _largest_eigenvalue(matrix: jax.Array) -> jax.Array:
    """norm(A^k)^(1/k), k = 256, which is up to 1.4 % above it for 1024 equal ones.

    Of a norm's power no starting vector can be orthogonal to the eigenvector.
    """

    def normalised(power):
        norm = jnp.sqrt(jnp.sum(jnp.square(power)))
        return power / norm, jnp.log(norm)

    def squared(squaring, carry):
        power, logarithm = carry
        power, step = normalised(power @ power)
        return power, logarithm + step / 2.0 ** (squaring + 1)

    _, logarithm = jax.lax.fori_loop(0, _SQUARINGS, squared, normalised(matrix))
    return jnp.where(jnp.any(matrix != 0), jnp.exp(logarithm), 0.0)
