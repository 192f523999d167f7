"""FRUGAL is Adam on the columns it chose and signSGD on the others, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optimizer_runs import (
    NET,
    PROBLEMS,
    QUADRATIC,
    STEPS,
    assert_compiled_once_and_equal_on_two_devices,
    assert_follows,
    train,
)

from algoperf.optimizers import frugal, scale_by_frugal, state_bytes, vectors_and_ends


def adam_by_hand(grads, b1, b2, eps=1e-8):
    m = v = 0.0
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        yield m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


def rule(chosen, gap, rate=0.05, b1=0.9, b2=0.99, weight_decay=0.1, sign_scale=0.5):
    """Algorithm 1 of Zmushko et al. 2024, given the columns of every subspace."""

    def by_hand(p, grads):
        shape, columns = p.shape, p.shape[-1] if p.ndim else 1
        p, grads = p.reshape(-1, columns), [g.reshape(-1, columns) for g in grads]
        everything = len(shape) < 2
        length = len(grads) if everything else gap
        for first in range(0, len(grads), length):
            mine = range(columns) if everything else chosen[shape][first // length]
            has_state = np.isin(np.arange(columns), mine)
            part = grads[first : first + length]
            for g, adam in zip(part, adam_by_hand(part, b1, b2), strict=True):
                u = np.where(has_state[None, :], adam, sign_scale * np.sign(g))
                p = p - rate * (u + weight_decay * p)
                yield p.reshape(shape)

    return by_hand


def subspaces(optimizer, problem, gap):
    """{shape: columns of the 1st, 2nd, ... subspace} that an optimizer chooses."""
    chosen = {}
    state, update = optimizer.init(problem.params), jax.jit(optimizer.update)
    for step in range(STEPS):
        _, state = update(problem.params, state, problem.params)
        if step % gap == 0:
            slots, params = state[0].slots, problem.params
            jax.tree.map(
                lambda p, slot: chosen.setdefault(np.shape(p), []).append(slot.columns),
                params,
                slots,
            )
    return chosen


@pytest.mark.parametrize("problem", PROBLEMS)
def test_frugal_is_the_rule_computed_by_hand(problem):
    options = {"b1": 0.9, "b2": 0.99, "weight_decay": 0.1, "sign_scale": 0.5}
    optimizer = frugal(0.05, density=0.4, update_gap=6, **options)
    chosen = subspaces(optimizer, PROBLEMS[problem], gap=6)
    assert_follows(train(optimizer, PROBLEMS[problem]), rule(chosen, gap=6))


def test_columns_are_drawn_anew_for_every_subspace_and_every_matrix():
    params = {name: jnp.ones((2, 40)) for name in "ab"}
    optimizer = scale_by_frugal(density=0.25, update_gap=3)
    drawn, state, update = [], optimizer.init(params), jax.jit(optimizer.update)
    for _ in range(9):
        _, state = update(params, state)
        drawn += [tuple(state.slots[name].columns.tolist()) for name in "ab"]
    assert len(set(drawn)) == 6  # 3 subspaces of 2 matrices
    assert [drawn.count(columns) for columns in drawn] == [3] * 18
    for columns in drawn:
        assert len(set(columns)) == 10
        assert list(columns) == sorted(columns)
        assert 0 <= columns[0] <= columns[-1] < 40
    # In three draws of a quarter most columns have had a turn.
    assert len({column for columns in drawn[::2] for column in columns}) > 20


def test_seeds_choose_columns():
    def first(seed):
        optimizer = scale_by_frugal(density=0.25, update_gap=3, seed=seed)
        params = {"a": jnp.ones((2, 40))}
        _, state = jax.jit(optimizer.update)(params, optimizer.init(params))
        return state.slots["a"].columns

    np.testing.assert_array_equal(first(1), first(1))
    assert first(1).tolist() != first(2).tolist()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_density_1_is_adamw(problem):
    ours = train(frugal(0.05, 1.0, update_gap=3, weight_decay=0.1), PROBLEMS[problem])
    theirs = train(optax.adamw(0.05, weight_decay=0.1), PROBLEMS[problem])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        ours.params,
        theirs.params,
    )


def test_density_0_is_sign_sgd():
    optimizer = frugal(0.05, 0.0, update_gap=3, full_state=lambda path, param: False)

    def sign_sgd(p, grads):
        for g in grads:
            p = p - 0.05 * np.sign(g)
            yield p

    trained = train(optimizer, QUADRATIC)
    assert_follows(trained, sign_sgd)
    assert state_bytes(trained.state[0]) == 4  # the count of updates


@pytest.mark.parametrize(
    ("density", "columns"), [(0.0, 0), (0.01, 1), (0.25, 16), (0.26, 17), (0.99, 64)]
)
def test_only_chosen_columns_have_state(density, columns):
    params = {"kernel": jnp.zeros((3, 3, 10, 64))}
    state = scale_by_frugal(density, update_gap=3).init(params)
    # Two moments of 90 rows, an index a column, a count.
    assert state_bytes(state) == 4 * (2 * 90 * columns + columns + 1)


@pytest.mark.parametrize(
    ("path", "shape", "expected"),
    [
        ("dense/bias", (4,), True),
        ("scale", (), True),
        ("shared_embedding/embedding", (8, 4), True),
        ("Embed_0/embedding", (8, 4), True),
        ("output/kernel", (4, 3), True),
        ("lm_head/kernel", (4, 3), True),
        ("head/kernel", (4, 3), True),
        ("head_0/kernel", (4, 3), True),
        ("multi_head_attention/query/kernel", (4, 3), False),
        ("MultiHeadDotProductAttention_1/out/kernel", (4, 2, 3), False),
        ("dense/kernel", (4, 3), False),
        ("conv/kernel", (3, 3, 2, 4), False),
    ],
)
def test_vectors_and_ends_keep_their_state(path, shape, expected):
    assert vectors_and_ends(path, jnp.zeros(shape)) == expected


def test_paths_reach_the_choice():
    seen = []
    frugal(0.1, 0.5, 3, full_state=lambda path, p: bool(seen.append(path))).init(
        NET.params
    )
    assert seen == ["conv/bias", "conv/kernel", "dense/bias", "dense/kernel", "scale"]


def test_one_compilation_and_equal_results_on_two_devices():
    assert_compiled_once_and_equal_on_two_devices(lambda: frugal(0.01, 0.5, 6))


@pytest.mark.parametrize(("density", "gap"), [(-0.1, 3), (1.1, 3), (0.5, 0)])
def test_a_density_or_gap_that_cannot_be_is_an_error(density, gap):
    with pytest.raises(ValueError, match=f"density is {density} and update_gap {gap};"):
        frugal(0.1, density, gap)
