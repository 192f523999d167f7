"""Bidirectional LSTM whose work is in large matrix products outside the loop.

The parameters are those of two `flax.linen.OptimizedLSTMCell`, with their names.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

_GATES = ("i", "f", "g", "o")  # input, forget, cell, output


class _Kernel(nn.Module):
    """A matrix [inputs, features], and a bias [features] if asked for."""

    features: int
    kernel_init: Any
    use_bias: bool

    @nn.compact
    def __call__(self, inputs: int) -> tuple[jax.Array, jax.Array | None]:
        """The parameters themselves, for products with several gates at once."""
        kernel = self.param("kernel", self.kernel_init, (inputs, self.features))
        zeros = nn.initializers.zeros
        bias = self.param("bias", zeros, (self.features,)) if self.use_bias else None
        return kernel, bias


class LSTMWeights(nn.Module):
    """Weights of an LSTM (Hochreiter & Schmidhuber 1997), all gates side by side."""

    features: int

    @nn.compact
    def __call__(self, inputs: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Kernels [inputs, 4 f] and [f, 4 f] and bias [4 f]; gates i, f, g, o."""
        lecun, orthogonal = nn.initializers.lecun_normal(), nn.initializers.orthogonal()
        input_kernels = [
            _Kernel(self.features, lecun, use_bias=False, name=f"i{gate}")(inputs)[0]
            for gate in _GATES
        ]
        recurrent = [
            _Kernel(self.features, orthogonal, use_bias=True, name=f"h{gate}")(
                self.features
            )
            for gate in _GATES
        ]
        kernels, biases = zip(*recurrent, strict=True)
        return (
            jnp.concatenate(input_kernels, axis=1),
            jnp.concatenate(kernels, axis=1),
            jnp.concatenate(biases),
        )


class BidirectionalLSTM(nn.Module):
    """An LSTM from either end of each utterance; `features` units per direction."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, paddings: jax.Array) -> jax.Array:
        """[batch, frame, 2 features] of [batch, frame, input]: forward, backward.

        The states start from zero at the first and at the last valid frame; padding
        [batch, frame] stands at the end, and its outputs are 0.
        """
        forward, backward = (
            LSTMWeights(self.features, name=name)(x.shape[-1])
            for name in ("forward", "backward")
        )
        kernels = jnp.concatenate([forward[0], backward[0]], axis=1)
        biases = jnp.concatenate([forward[2], backward[2]])
        # One product for all frames, gates and directions; frames come first, since
        # the loop takes one after the other.
        gates = jnp.einsum("bti,ig->tbg", x, kernels) + biases[None, None]
        ahead, back = jnp.split(gates, 2, axis=-1)
        valid = (1.0 - paddings).T[..., None]
        ahead = lstm(ahead, forward[1], valid)
        # Backwards a state stays 0 up to the last valid frame: nothing has to be moved
        # by each utterance's own length.
        back = jnp.flip(lstm(jnp.flip(back, 0), backward[1], jnp.flip(valid, 0)), 0)
        return jnp.swapaxes(jnp.concatenate([ahead, back], axis=-1), 0, 1)


@jax.custom_vjp
def lstm(gates: jax.Array, kernel: jax.Array, valid: jax.Array) -> jax.Array:
    """Outputs [frame, batch, f] of an LSTM that starts from zero.

    Args:
      gates: what the input adds to each gate, [frame, batch, 4 f], before activation.
      kernel: recurrent weights [f, 4 f].
      valid: [frame, batch, 1]; the state is set to 0 where this is 0.

    The gradient by `kernel` is one product of all frames' outputs and gate gradients,
    where a loop would add up a product per frame. Forward-mode differentiation is not
    defined.
    """
    return _scan(gates, kernel, valid)


def _scan(gates: jax.Array, kernel: jax.Array, valid: jax.Array) -> jax.Array:
    features = kernel.shape[0]

    def step(state, now):
        cell, hidden = state
        added, valid = now
        i, f, g, o = jnp.split(added + hidden @ kernel, 4, axis=-1)
        cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(g)
        hidden = nn.sigmoid(o) * jnp.tanh(cell)
        cell, hidden = cell * valid, hidden * valid
        return (cell, hidden), hidden

    zeros = jnp.zeros((gates.shape[1], features), gates.dtype)
    return jax.lax.scan(step, (zeros, zeros), (gates, valid))[1]


def _lstm_forward(gates, kernel, valid):
    outputs, pull_back = jax.vjp(lambda gates: _scan(gates, kernel, valid), gates)
    return outputs, (outputs, pull_back, valid)


def _lstm_backward(saved, gradient):
    outputs, pull_back, valid = saved
    (by_gates,) = pull_back(gradient)
    by_kernel = jnp.einsum("tbf,tbg->fg", outputs[:-1], by_gates[1:])
    return by_gates, by_kernel, jnp.zeros_like(valid)


lstm.defvjp(_lstm_forward, _lstm_backward)
