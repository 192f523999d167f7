"""Cautious optimizers: no step against the gradient."""

import jax
import jax.numpy as jnp
import optax


def cautious(
    transformation: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Drops what of a direction disagrees with the gradient (Liang et al. 2024).

    With u the direction of `transformation` and g the gradient, of d elements each,
    u * phi * d / (sum(phi) + 1) where phi = [u * g > 0], per tensor.

    `transformation` maps gradients to the direction that is to be subtracted, before
    learning rate and weight decay: `chain(cautious(scale_by_adam()),
    add_decayed_weights(0.1), scale_by_learning_rate(0.01))`. A tensor whose direction
    agrees everywhere shrinks by d / (d + 1), which halves that of a scalar; the
    paper's constant 1 keeps the factor finite where nothing agrees.
    """
    inner = optax.with_extra_args_support(transformation)

    def update(updates, state, params=None, **extra):
        directions, state = inner.update(updates, state, params, **extra)
        return jax.tree.map(_masked, directions, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _masked(direction: jax.Array, grad: jax.Array) -> jax.Array:
    # Signs: a product of two small numbers is 0 in float32.
    agrees = jnp.sign(direction) * jnp.sign(grad) > 0
    scale = direction.size / (jnp.sum(agrees) + 1.0)
    return jnp.where(agrees, direction * scale.astype(direction.dtype), 0)
