"""The bidirectional LSTM against Flax's and a NumPy loop; its gradients and start."""

import jax
import jax.numpy as jnp
import numpy as np
import plain_speech as speech
import plain_vision as plain
import pytest
from flax import linen as nn

from algoperf.jax_sharding_utils import replicate, shard_along_batch_dim
from workloads.librispeech.lstm import BidirectionalLSTM

KEY = jax.random.PRNGKey(2)
FEATURES, INPUTS, FRAMES = 4, 5, 7
LENGTHS = [7, 3, 1, 0]
X = np.random.default_rng(6).normal(size=(4, FRAMES, INPUTS)).astype(np.float32)
PADDINGS = speech.paddings_of(LENGTHS, FRAMES)
MODEL = BidirectionalLSTM(FEATURES)


def params():
    shapes = jax.eval_shape(lambda: MODEL.init(KEY, X, PADDINGS))
    return plain.random_like(shapes)["params"]


def flax_outputs(params, x):
    cells = [nn.RNN(nn.OptimizedLSTMCell(FEATURES)) for _ in range(2)]
    tree = {f"{name}_rnn": {"cell": params[name]} for name in ("forward", "backward")}
    outputs = nn.Bidirectional(*cells).apply(
        {"params": tree}, x, seq_lengths=np.array(LENGTHS)
    )
    return outputs * (1.0 - PADDINGS)[..., None]


def our_outputs(params, x, paddings=PADDINGS):
    return MODEL.apply({"params": params}, x, paddings)


def test_outputs_are_flaxs_and_those_of_a_numpy_loop():
    given = params()
    ours = jax.jit(our_outputs)(given, X)
    assert ours.shape == (4, FRAMES, 2 * FEATURES)
    np.testing.assert_allclose(ours, flax_outputs(given, X), rtol=1e-5, atol=1e-6)
    loop = speech.bidirectional_lstm(given, X.astype(np.float64), PADDINGS)
    np.testing.assert_allclose(ours, loop, rtol=1e-5, atol=1e-6)
    assert np.std(loop[0]) > 0.05


def test_gradients_are_flaxs():
    weights = np.random.default_rng(7).normal(size=(4, FRAMES, 2 * FEATURES))

    def gradients(outputs):
        def total(params, x):
            return jnp.sum(jnp.sin(outputs(params, x)) * weights)

        return jax.jit(jax.grad(total, (0, 1)))(params(), X)

    ours, flaxs = gradients(our_outputs), gradients(flax_outputs)
    assert jax.tree.structure(ours) == jax.tree.structure(flaxs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(flaxs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert np.abs(b).max() > 1e-3


def test_gradients_do_not_depend_on_how_examples_are_spread():
    @jax.jit
    def gradients(params, x, paddings):
        return jax.grad(lambda p: jnp.sum(jnp.sin(our_outputs(p, x, paddings))))(params)

    alone = gradients(params(), X, PADDINGS)
    x, paddings = shard_along_batch_dim((X, PADDINGS))
    assert len(x.sharding.device_set) == 2
    spread = gradients(replicate(params()), x, paddings)
    for a, b in zip(jax.tree.leaves(spread), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_gradients_of_gradients_are_flaxs():
    # Penalties on gradients, and curvature by reverse mode, go through the same rule.
    def penalty(outputs):
        def total(params):
            return jnp.sum(jnp.square(outputs(params, X)))

        def norm(params):
            leaves = jax.tree.leaves(jax.grad(total)(params))
            return sum(jnp.sum(jnp.square(leaf)) for leaf in leaves)

        return jax.jit(jax.grad(norm))(params())

    ours, flaxs = penalty(our_outputs), penalty(flax_outputs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(flaxs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_what_stands_in_padding_does_not_matter():
    other = np.where(PADDINGS[..., None] == 1, 1e3, X)
    ours = our_outputs(params(), X)
    np.testing.assert_array_equal(our_outputs(params(), other), ours)
    assert np.all(np.asarray(ours)[PADDINGS == 1] == 0.0)


def test_a_batch_of_padding_has_zeros_and_finite_gradients():
    padding = np.ones_like(PADDINGS)
    assert np.all(our_outputs(params(), X, padding) == 0.0)
    total = jax.jit(jax.grad(lambda p: jnp.sum(our_outputs(p, X, padding))))
    grads = total(params())
    for leaf in jax.tree.leaves(grads):
        assert np.all(leaf == 0.0)


def test_one_frame_is_enough():
    ours = our_outputs(params(), X[:, :1], PADDINGS[:, :1])
    loop = speech.bidirectional_lstm(params(), X[:, :1], PADDINGS[:, :1])
    np.testing.assert_allclose(ours, loop, rtol=1e-5, atol=1e-6)


def test_weights_start_as_those_of_flaxs_cell():
    wide = BidirectionalLSTM(64)
    x, paddings = jnp.zeros((1, 2, 96)), jnp.zeros((1, 2))
    start = jax.jit(wide.init)(KEY, x, paddings)["params"]
    cell = nn.OptimizedLSTMCell(64)
    carry = (jnp.zeros((1, 64)), jnp.zeros((1, 64)))
    flaxs = jax.eval_shape(lambda: cell.init(KEY, carry, x[:, 0])["params"])
    for direction in ("forward", "backward"):
        assert plain.shape_table(start[direction]) == plain.shape_table(flaxs)
        for gate in "ifgo":
            recurrent = start[direction][f"h{gate}"]
            kernel = np.asarray(recurrent["kernel"])
            np.testing.assert_allclose(kernel @ kernel.T, np.eye(64), atol=1e-5)
            assert np.all(recurrent["bias"] == 0.0)
            inputs = np.asarray(start[direction][f"i{gate}"]["kernel"])
            assert np.std(inputs) == pytest.approx(96**-0.5, rel=0.05)
    kernels = [x for x in jax.tree.leaves(start) if x.ndim == 2]
    assert len({float(kernel[0, 0]) for kernel in kernels}) == 16
