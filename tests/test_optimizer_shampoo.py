"""Shampoo is the rule of its papers, computed by hand in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import (
    NET,
    QUADRATIC,
    assert_compiled_once_and_equal_on_two_devices,
    assert_follows,
    inverse_root,
    train,
)

from algoperf.optimizers import ShampooOptions, scale_by_shampoo, shampoo, state_bytes
from algoperf.optimizers.shampoo_blocks import layout, merged_shape

# A ridge of 1e-3: below that, rounding in float32 shows in the smallest eigenvalues of
# statistics of so few gradients.
OPTIONS = ShampooOptions(
    block_size=3, merge_up_to=6, max_dim=8, start=5, every_steps=4, matrix_eps=1e-3
)


def pieces(shape, block_size, cut):
    """Index arrays of every block."""
    ranges = [
        np.split(np.arange(d), range(block_size, d, block_size)) if yes else [range(d)]
        for d, yes in zip(shape, cut, strict=True)
    ]
    return [np.ix_(*block) for block in itertools.product(*ranges)]


class Block:
    """The statistics of one block, and their roots."""

    def __init__(self, index, axes):
        self.index, self.axes = index, axes
        self.statistics = dict.fromkeys(axes, 0.0)
        self.roots = {}

    def observe(self, g, b2):
        for axis in self.axes:
            rows = np.moveaxis(g[self.index], axis, 0)
            rows = rows.reshape(len(rows), -1)
            outer = sum(np.outer(column, column) for column in rows.T)
            self.statistics[axis] = b2 * self.statistics[axis] + (1 - b2) * outer

    def compute(self, ridge):
        p = 2 * len(self.axes)
        self.roots = {a: inverse_root(s, p, ridge) for a, s in self.statistics.items()}

    def precondition(self, g):
        part = g[self.index]
        for axis, matrix in self.roots.items():
            part = np.moveaxis(np.tensordot(matrix, part, (1, axis)), 0, axis)
        return part


# What 6 allows to merge, and axes of 2 to 8 that are left of it.
MERGED = {(4, 3): (4, 3), (3, 3, 2, 4): (3, 6, 4), (5,): (5,), (4,): (4,), (3,): (3,)}


def rule(options, rate=0.05, b1=0.9, b2=0.8, weight_decay=0.1):
    def by_hand(p, grads):
        shape = MERGED.get(p.shape, p.shape)
        axes = [axis for axis, d in enumerate(shape) if 1 < d <= options.max_dim]
        cut = [axis in axes for axis in range(len(shape))]
        index = pieces(shape, options.block_size, cut)
        blocks = [Block(i, axes) for i in index] if axes and p.size else []
        m, second = np.zeros_like(p), np.zeros_like(p)
        for t, g in enumerate(grads):
            unit = g / np.linalg.norm(g) if g.size else g
            second = b2 * second + (1 - b2) * unit**2
            graft = unit / (np.sqrt(second) + options.graft_eps)
            for block in blocks:
                block.observe(g.reshape(shape), b2)
                if (
                    t >= options.start
                    and (t - options.start) % options.every_steps == 0
                ):
                    block.compute(options.matrix_eps)
            u = graft
            if t >= options.start and blocks:
                u = np.zeros(shape)
                for block in blocks:
                    u[block.index] = block.precondition(g.reshape(shape))
                u = u.reshape(p.shape)
                u = u * np.linalg.norm(graft) / np.linalg.norm(u)
            u = u + weight_decay * p
            m = b1 * m + (1 - b1) * u
            p = p - rate * (b1 * m + (1 - b1) * u)
            yield p

    return by_hand


def make(options=OPTIONS):
    return shampoo(0.05, b1=0.9, b2=0.8, weight_decay=0.1, options=options)


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        (QUADRATIC, OPTIONS),
        (NET, OPTIONS),
        (QUADRATIC, OPTIONS._replace(block_size=100)),
        (QUADRATIC, OPTIONS._replace(max_dim=3)),  # axes of 4 and 5 are left out
        (QUADRATIC, OPTIONS._replace(start=0, every_steps=1, matrix_eps=0.01)),
    ],
)
def test_shampoo_is_the_rule_computed_by_hand(problem, options):
    assert_follows(train(make(options), problem), rule(options))


def test_before_the_start_it_is_normalised_rmsprop():
    never = OPTIONS._replace(start=100)
    trained = train(make(never), QUADRATIC)
    assert_follows(trained, rule(never))
    # It is not what preconditioning gives.
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_follows(trained, rule(OPTIONS))


def last_direction(grads, **options):
    """The direction at the last of some gradients, which alone are preconditioned."""
    chosen = ShampooOptions(start=len(grads) - 1, **options)
    optimizer = scale_by_shampoo(b1=0.0, b2=0.5, weight_decay=0.0, options=chosen)
    params = {"w": jnp.zeros(grads[0].shape)}
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for grad in grads:
        updates, state = update({"w": jnp.asarray(grad, jnp.float32)}, state, params)
    return np.asarray(updates["w"])


def direction_of(array):
    return array / np.linalg.norm(array)


def test_a_vector_follows_full_matrix_adagrad():
    grads = np.random.default_rng(4).normal(size=(12, 4))
    statistic = sum(0.5 ** (12 - t) * np.outer(g, g) for t, g in enumerate(grads, 1))
    values, vectors = np.linalg.eigh(statistic)
    expected = vectors @ ((vectors.T @ grads[-1]) / np.sqrt(values))
    ours = last_direction(grads, matrix_eps=0.0)
    np.testing.assert_allclose(direction_of(ours), direction_of(expected), rtol=1e-3)


def test_rows_that_are_orthogonal_give_diagonal_adagrad_of_their_norms():
    scales = np.random.default_rng(4).normal(size=(5, 3))
    grads = [np.pad(np.diag(a), ((0, 0), (0, 6))) for a in scales]
    weights = 0.5 ** np.arange(5, 0, -1)[:, None]
    expected = np.diag(scales[-1] / np.sqrt((weights * scales**2).sum(axis=0)))
    ours = last_direction(grads, max_dim=8, merge_up_to=1)  # 9 columns: left side only
    np.testing.assert_allclose(ours[:, 3:], 0, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        direction_of(ours[:, :3]), direction_of(expected), rtol=1e-4, atol=1e-6
    )


def test_the_norm_is_that_of_the_grafting_direction():
    grads = np.random.default_rng(4).normal(size=(6, 4, 5))
    second = sum(
        0.5 ** (6 - t) * (g / np.linalg.norm(g)) ** 2 for t, g in enumerate(grads)
    )
    graft = grads[-1] / np.linalg.norm(grads[-1]) / np.sqrt(second)
    ours = last_direction(grads, merge_up_to=1)
    np.testing.assert_allclose(
        np.linalg.norm(ours), np.linalg.norm(graft), rtol=1e-5, atol=0
    )
    assert np.abs(direction_of(ours) - direction_of(graft)).max() > 0.05


def test_a_long_axis_leaves_the_root_of_the_other():
    grads = np.random.default_rng(4).normal(size=(12, 9, 3))
    statistic = sum(0.5 ** (12 - t) * g.T @ g for t, g in enumerate(grads, 1))
    expected = grads[-1] @ inverse_root(statistic, 2, 0.0)
    ours = last_direction(grads, max_dim=8, merge_up_to=1, matrix_eps=0.0)
    np.testing.assert_allclose(direction_of(ours), direction_of(expected), rtol=1e-3)


@pytest.mark.parametrize(
    ("shape", "merged"),
    [
        ((), ()),
        ((1, 1), (1,)),
        ((7,), (7,)),
        ((64, 64), (4096,)),
        ((65, 64), (65, 64)),
        ((3, 3, 64, 64), (576, 64)),
        ((3, 3, 512, 512), (9, 512, 512)),
        ((1, 1, 256, 1, 1024, 1), (256, 1024)),
        ((512, 8, 64), (4096, 64)),
        ((0, 3), (0,)),
    ],
)
def test_small_axes_are_merged(shape, merged):
    assert merged_shape(shape, 4096) == merged


def test_axes_are_cut_into_blocks():
    plan = layout((2500, 1024), 1024, 4096, max_dim=4096)
    sides = [[1024, 1024], [1024, 1024], [452, 1024]]
    assert list(plan.sides()) == sides
    assert plan.root == 4
    vocabulary = layout((32_000, 1024), 1024, 4096, max_dim=4096)
    assert list(vocabulary.sides()) == [[None, 1024]]
    assert vocabulary.root == 2


def test_the_state_has_two_moments_and_two_matrices_for_every_side():
    optimizer = shampoo(0.1, 0.9, 0.99)
    params = {"w": jnp.zeros((1024, 1024))}
    shapes = jax.eval_shape(optimizer.init, params)
    assert state_bytes(shapes) == 4 * (2 * 1024**2 + 4 * 1024**2) + 4
    vector = jax.eval_shape(optimizer.init, {"w": jnp.zeros(10), "s": jnp.zeros(())})
    assert state_bytes(vector) == 4 * (2 * 11 + 2 * 100) + 4


def test_roots_are_computed_only_when_they_are_due():
    optimizer = scale_by_shampoo(0.9, 0.8, 0.0, OPTIONS)
    params = {"w": jnp.zeros((3, 3))}
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    random, roots = np.random.default_rng(1), []
    for _ in range(15):
        grads = {"w": jnp.asarray(random.normal(size=(3, 3)), jnp.float32)}
        _, state = update(grads, state, params)
        roots.append(np.asarray(state.slots["w"].roots[0][0]))
    changed = [n for n in range(1, 15) if np.any(roots[n] != roots[n - 1])]
    assert changed == [5, 9, 13]
    # Other steps do not even compute what they would throw away.
    jaxpr = jax.make_jaxpr(optimizer.update)(params, state, params)
    outside = {equation.primitive.name for equation in jaxpr.eqns}
    assert "cond" in outside
    assert not {"eigh", "while", "scan"} & outside
    assert "while" in str(jaxpr)


def test_one_compilation_and_equal_results_on_two_devices():
    assert_compiled_once_and_equal_on_two_devices(make)


def test_parameters_are_needed():
    optimizer = shampoo(0.1, 0.9, 0.99)
    params = {"w": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match=r"needs update\(updates, state, params\)"):
        optimizer.update(params, optimizer.init(params))
