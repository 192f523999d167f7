"""EMA and LAWA are the weighted sums of all parameters that their papers write."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optimizer_runs import (
    NET,
    QUADRATIC,
    STEPS,
    assert_compiled_once_and_equal_on_two_devices,
    train,
)

from algoperf.optimizers import (
    EmaState,
    LawaState,
    ema_params,
    lawa_params,
    with_ema,
    with_lawa,
)


def weighted(history, weights):
    """Sum of weight x parameters, in float64."""
    return jax.tree.map(
        lambda *ps: sum(
            w * np.asarray(p, np.float64) for w, p in zip(weights, ps, strict=True)
        ),
        *history,
    )


def assert_close(tree, expected, rtol=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6),
        tree,
        expected,
    )


def check_ema(problem, decay):
    trained = train(with_ema(optax.sgd(0.1), decay), problem)
    weights = np.array([decay ** (STEPS - t) for t in range(1, STEPS + 1)])
    expected = weighted(trained.params[1:], weights / weights.sum())
    assert_close(ema_params(trained.state), expected)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9999])
def test_an_ema_weighs_the_parameters_of_every_update(decay):
    check_ema(QUADRATIC, decay)


def check_lawa(problem, every_steps, window, steps):
    trained = train(with_lawa(optax.sgd(0.1), every_steps, window), problem)
    weights = [float(step in steps) / len(steps) for step in range(STEPS + 1)]
    expected = weighted(trained.params, weights)
    assert_close(lawa_params(trained.state, trained.params[-1]), expected)


@pytest.mark.parametrize(
    ("every_steps", "window", "steps"),
    [
        (1, 3, [18, 19, 20]),
        (4, 2, [16, 20]),
        (7, 5, [7, 14]),
        (21, 4, [20]),  # before the first snapshot: the current parameters
    ],
)
def test_lawa_is_the_mean_of_the_last_snapshots(every_steps, window, steps):
    check_lawa(QUADRATIC, every_steps, window, steps)


def test_averages_of_a_net():
    check_ema(NET, 0.9)
    check_lawa(NET, 6, 3, [6, 12, 18])


def test_before_the_first_update_averages_are_the_parameters():
    params = {"weights": jnp.arange(3.0)}
    ema = with_ema(optax.sgd(0.1), 0.9).init(params)
    assert_close(ema_params(ema), params)
    lawa = with_lawa(optax.sgd(0.1), 2, 3).init(params)
    assert_close(lawa_params(lawa, params), params)
    # A copy, for a train step may donate the parameters.
    assert ema_params(ema)["weights"] is not params["weights"]


@pytest.mark.parametrize(
    "wrap", [lambda o: with_ema(o, 0.9), lambda o: with_lawa(o, 3, 2)]
)
def test_training_is_what_it_is_without_an_average(wrap):
    plain = train(optax.adam(0.1), NET)
    averaged = train(wrap(optax.adam(0.1)), NET)
    assert_close(averaged.params[-1], plain.params[-1])
    assert_close(averaged.state.inner, plain.state)


@pytest.mark.parametrize(
    "wrap", [lambda o: with_ema(o, 0.9), lambda o: with_lawa(o, 3, 2)]
)
def test_one_compilation_and_equal_averages_on_two_devices(wrap):
    assert_compiled_once_and_equal_on_two_devices(lambda: wrap(optax.sgd(0.1)))


def test_averages_are_found_in_a_chain():
    params = {"weights": jnp.ones(3)}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), with_lawa(with_ema(optax.sgd(1.0), 0.5), 1, 2)
    )
    updates, state = optimizer.update(params, optimizer.init(params), params)
    new = optax.apply_updates(params, updates)
    assert_close(ema_params(state), new)
    assert_close(lawa_params(state, params), new)


def test_arguments_reach_the_wrapped_transformation():
    def update(updates, state, params=None, *, value):
        return jax.tree.map(lambda u: u * value, updates), state

    inner = optax.GradientTransformationExtraArgs(lambda params: (), update)
    for optimizer in (with_ema(inner, 0.9), with_lawa(inner, 1, 1)):
        params = {"weights": jnp.ones(2)}
        updates, _ = optimizer.update(params, optimizer.init(params), params, value=3.0)
        assert_close(updates, {"weights": np.full(2, 3.0)})


def test_a_state_without_the_average_is_an_error():
    state = optax.sgd(0.1).init({"weights": jnp.ones(2)})
    with pytest.raises(ValueError, match="0 EmaState in this state; needed is one"):
        ema_params(state)
    with pytest.raises(ValueError, match="0 LawaState in this state; needed is one"):
        lawa_params(state, {})


def test_parameters_are_needed():
    optimizer = with_ema(optax.sgd(0.1), 0.9)
    params = {"weights": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"needs update\(updates, state, params\)"):
        optimizer.update(params, optimizer.init(params))


def test_a_decay_or_window_that_cannot_be_is_an_error():
    with pytest.raises(ValueError, match=r"decay is 1\.0; a moving average needs 0 <="):
        with_ema(optax.sgd(0.1), 1.0)
    with pytest.raises(ValueError, match="every_steps is 0 and window 2"):
        with_lawa(optax.sgd(0.1), 0, 2)


def test_states_are_what_they_are_documented_to_be():
    params = {"weights": jnp.ones((2, 3))}
    assert isinstance(with_ema(optax.sgd(0.1), 0.9).init(params), EmaState)
    lawa = with_lawa(optax.sgd(0.1), 1, 5).init(params)
    assert isinstance(lawa, LawaState)
    assert lawa.snapshots["weights"].shape == (5, 2, 3)
