"""NAdamW as AlgoPerf's baselines define it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.schedules import warmup_cosine


class NadamState(NamedTuple):
    """Updates done, and the first and second moments of the gradient."""

    count: jax.Array
    mu: optax.Params
    nu: optax.Params


def scale_by_nadam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Adam with Nesterov's numerator, as in AlgoPerf's NAdamW.

    (b1 m_t + (1 - b1) g_t) / (1 - b1^t) over sqrt(v_t / (1 - b2^t)) + eps. Differs
    from `optax.scale_by_adam(nesterov=True)`, which corrects m_t with b1^(t + 1)
    (Dozat 2016).
    """

    def init(params: optax.Params) -> NadamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return NadamState(
            jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.zeros_like, params)
        )

    def update(updates, state, params=None):
        del params
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.nu, updates)
        correct_mu, correct_nu = 1 - b1**count, 1 - b2**count

        def direction(m, v, g):
            numerator = (b1 * m + (1 - b1) * g) / correct_mu
            return numerator / (jnp.sqrt(v / correct_nu) + eps)

        return jax.tree.map(direction, mu, nu, updates), NadamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def nadamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: float,
    b2: float,
    weight_decay: float,
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """NAdam with decoupled weight decay on every parameter."""
    return optax.chain(
        scale_by_nadam(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def baseline_nadamw(
    hyperparameters: Any, step_hint: int
) -> optax.GradientTransformation:
    """NAdamW with warm-up and cosine decay, as AlgoPerf's baselines are made.

    Reads `learning_rate`, `warmup_factor`, `one_minus_beta1`, `beta2`, `weight_decay`.
    """
    return nadamw(
        warmup_cosine(hyperparameters, step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )
