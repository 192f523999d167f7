"""Inverse roots by matrix products are those of an eigendecomposition."""

import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import inverse_root

from algoperf.optimizers.matrix_roots import inverse_roots


def roots_of(matrices, p, ridge):
    """Inverse roots where 7 x I is what there was before."""
    matrices = [jnp.asarray(matrix, jnp.float32) for matrix in matrices]
    before = [7 * jnp.eye(len(matrix)) for matrix in matrices]
    return inverse_roots(matrices, before, p, ridge)


@pytest.mark.parametrize("p", [2, 4, 6])
def test_inverse_roots_are_those_of_an_eigendecomposition(p):
    random = np.random.default_rng(7)
    vectors, _ = np.linalg.qr(random.normal(size=(6, 6)))
    matrices = [
        vectors @ np.diag(10.0 ** np.arange(-3, 3)) @ vectors.T,  # condition 1e5
        np.diag([4.0, 9.0]),
        1e-12 * vectors @ np.diag(np.arange(1.0, 7)) @ vectors.T,
        1e12 * np.eye(2),
    ]
    found = roots_of(matrices, [p] * 4, ridge=0.0)
    # 1e-7 of rounding and a condition of 1e5: 1 % in the smallest eigenvalue.
    np.testing.assert_allclose(
        found[0], inverse_root(matrices[0], p, 0), rtol=0.02, atol=0.02
    )
    np.testing.assert_allclose(
        found[1], inverse_root(matrices[1], p, 0), rtol=1e-5, atol=1e-6
    )
    expected = inverse_root(matrices[2], p, 0)
    np.testing.assert_allclose(
        found[2], expected, rtol=1e-4, atol=1e-5 * expected.max()
    )
    expected = np.eye(2) * 1e12 ** (-1 / p)
    np.testing.assert_allclose(found[3], expected, rtol=1e-4, atol=1e-9)


def test_the_ridge_is_a_share_of_the_largest_eigenvalue():
    (found,) = roots_of([np.diag([400.0, 0.0])], [2], ridge=0.01)
    np.testing.assert_allclose(found, np.diag([404**-0.5, 0.5]), rtol=1e-5, atol=1e-6)


def test_a_singular_matrix_of_the_usual_ridge_has_a_root():
    random = np.random.default_rng(7)
    factor = random.normal(size=(40, 3))  # 37 eigenvalues are 0
    (found,) = roots_of([factor @ factor.T], [4], ridge=1e-6)
    null = np.linalg.svd(factor.T)[2][-1]
    largest = np.linalg.eigvalsh(factor @ factor.T)[-1]
    # (1e-6 largest)^(-1/4), of which rounding to 1e-7 leaves a few percent.
    expected = (1e-6 * largest) ** -0.25
    np.testing.assert_allclose(null @ found @ null, expected, rtol=0.1)


def test_no_gradient_so_far_leaves_the_identity():
    found = roots_of([np.zeros((3, 3)), np.ones((1, 1))], [4, 4], ridge=1e-6)
    np.testing.assert_allclose(found[0], np.eye(3))
    np.testing.assert_allclose(found[1], np.ones((1, 1)), rtol=1e-5)


@pytest.mark.parametrize("bad", [[1.0, -1.0], [1.0, np.nan], [1.0, np.inf]])
def test_what_has_no_root_leaves_what_there_was(bad):
    found = roots_of([np.diag(bad), np.diag([4.0, 9.0])], [2, 2], ridge=1e-6)
    np.testing.assert_allclose(found[0], 7 * np.eye(2))
    np.testing.assert_allclose(found[1], np.diag([1 / 2, 1 / 3]), rtol=1e-4, atol=1e-6)
