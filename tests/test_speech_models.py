"""Conformer and DeepSpeech: outputs and batch statistics against plain NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import plain_speech as speech
import plain_vision as plain
import pytest

from algoperf.facts import UserError
from algoperf.spec import ForwardPassMode
from workloads.librispeech.conformer import Conformer
from workloads.librispeech.deepspeech import DeepSpeech
from workloads.librispeech.frontend import log_mel

TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY = jax.random.PRNGKey(0)
AUDIO, PADDINGS = speech.audio_batch()
NO_MASKS = {"time_mask_count": 0, "freq_mask_count": 0}
CONFORMER = functools.partial(
    Conformer, vocab_size=7, encoder_dim=8, num_blocks=2, num_heads=2
)
DEEPSPEECH = functools.partial(
    DeepSpeech,
    vocab_size=7,
    encoder_dim=8,
    num_lstm_layers=2,
    num_feed_forward_layers=2,
)
ONE_LAYER = {
    CONFORMER: {"num_blocks": 1},
    DEEPSPEECH: {"num_lstm_layers": 1, "num_feed_forward_layers": 1},
}
LAYER_NORMS = {"layer_norm_everywhere": True, "decoder_layer_norm": False}
MODELS = {
    "conformer": (CONFORMER, {}),
    "attention_temperature": (CONFORMER, {"attention_temperature": 1.6}),
    "layernorm": (CONFORMER, {"use_post_layer_norm": False}),
    "gelu": (CONFORMER, {"activation": "gelu"}),
    "other_sizes": (CONFORMER, {"kernel_size": 4, "feed_forward_expansion": 3}),
    "deepspeech": (DEEPSPEECH, {}),
    "tanh": (DEEPSPEECH, {"activation": "tanh"}),
    "no_resnet": (DEEPSPEECH, {"residual": False}),
    "norm_and_spec_aug": (DEEPSPEECH, LAYER_NORMS),
}


@functools.cache
def features():
    """Features and paddings of the batch, which have a test of their own."""
    x, paddings = jax.jit(log_mel)(AUDIO, PADDINGS)
    return np.asarray(x, np.float64), np.asarray(paddings)


def random_variables(model):
    shapes = jax.eval_shape(lambda: model.init(KEY, AUDIO, PADDINGS))
    return plain.random_like(shapes)


def plain_outputs(name: str, variables, use_batch: bool):
    """(logits, paddings) by NumPy, and the statistics used by path."""
    fields = MODELS[name][1]
    stats = None if use_batch else variables.get("batch_stats")
    numpy = speech.PlainSpeech(variables["params"], stats)
    if MODELS[name][0] is CONFORMER:
        activation = plain.gelu if name == "gelu" else plain.silu
        temperature = fields.get("attention_temperature", 1.0)
        outputs = numpy.conformer(*features(), activation, temperature)
    else:
        activation = np.tanh if name == "tanh" else plain.relu
        outputs = numpy.deepspeech(*features(), activation, name != "no_resnet")
    return outputs, numpy.state


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_plain_numpy(name):
    make, fields = MODELS[name]
    # The base models as stacks of layers, their variants by one.
    layers = {} if fields == {} else ONE_LAYER[make]
    model = make(**fields, **layers)
    variables = random_variables(model)
    (expected, paddings), _ = plain_outputs(name, variables, use_batch=False)
    logits, ours = jax.jit(model.apply)(variables, AUDIO, PADDINGS)
    assert logits.shape == (3, 11, 7)
    assert paddings.sum(axis=1).tolist() == [0, 4, 7]
    np.testing.assert_array_equal(ours, paddings)
    valid = paddings == 0
    np.testing.assert_allclose(logits[valid], expected[valid], rtol=2e-3, atol=2e-3)
    assert np.std(expected[valid]) > 0.1


@pytest.mark.parametrize("name", ["conformer", "deepspeech"])
def test_training_normalises_by_the_batch_and_moves_the_averages(name):
    make, _ = MODELS[name]
    workload = speech.speech_workload(make(**NO_MASKS, **ONE_LAYER[make]))
    variables = random_variables(workload.model)
    stats = variables["batch_stats"]
    (expected, paddings), used = plain_outputs(name, variables, use_batch=True)

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def forward(variables, update_batch_norm, use_running_average_bn=None):
        return workload.model_fn(
            variables["params"],
            {"inputs": (AUDIO, PADDINGS)},
            {"batch_stats": variables["batch_stats"]},
            TRAIN,
            KEY,
            update_batch_norm,
            use_running_average_bn,
            dropout_rate=0.0,
        )

    (logits, _), state = forward(variables, True)
    valid = paddings == 0
    np.testing.assert_allclose(logits[valid], expected[valid], rtol=2e-3, atol=2e-3)
    assert len(used) == len(jax.tree.leaves(state)) / 2
    for path, (mean, var) in used.items():
        for leaf, value in (("mean", mean), ("var", var)):
            before, after = stats, state["batch_stats"]
            for key in path.split("/"):
                before, after = before[key], after[key]
            moved = 0.999 * before[leaf] + 0.001 * value
            np.testing.assert_allclose(after[leaf], moved, rtol=1e-4, atol=1e-5)
            assert after[leaf].shape == before[leaf].shape == (8,)
    # Without an update: the averages, and the state as it was.
    (expected, _), _ = plain_outputs(name, variables, use_batch=False)
    (logits, _), state = forward(variables, False)
    np.testing.assert_allclose(logits[valid], expected[valid], rtol=2e-3, atol=2e-3)
    jax.tree.map(np.testing.assert_array_equal, state, {"batch_stats": stats})


@pytest.mark.parametrize("name", ["conformer", "deepspeech"])
def test_gradients_are_finite_and_reach_every_layer(name):
    # Also if an utterance, or the whole batch, is padding.
    make, _ = MODELS[name]
    model = make(**ONE_LAYER[make])
    workload = speech.speech_workload(model)
    variables = random_variables(model)
    state = {"batch_stats": variables["batch_stats"]}
    tokens = np.float32([[1, 2, 6, 0], [3, 3, 0, 0], [5, 0, 0, 0]])
    token_paddings = np.float32([[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]])

    @jax.jit
    def gradients(params, paddings, token_paddings, dropout_rate):
        def loss(params):
            batch = {"inputs": (AUDIO, paddings)}
            outputs, new_state = workload.model_fn(
                params, batch, state, TRAIN, KEY, True, dropout_rate=dropout_rate
            )
            return workload.loss_fn((tokens, token_paddings), outputs)[
                "summed"
            ], new_state

        return jax.grad(loss, has_aux=True)(params)

    for lengths in ((6000, 4000, 2500), (6000, 4000, 0), (0, 0, 0)):
        paddings = speech.paddings_of(lengths, speech.SAMPLES)
        none = np.array(lengths)[:, None] == 0
        token_paddings = np.where(none, 1.0, token_paddings).astype(np.float32)
        grads, new_state = gradients(variables["params"], paddings, token_paddings, 0.1)
        for leaf in jax.tree.leaves((grads, new_state)):
            assert np.all(np.isfinite(leaf))
        if all(lengths):
            for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
                # Softmax does not change with all scores: a key's bias has none.
                if tuple(key.key for key in path[-2:]) != ("key", "bias"):
                    assert np.abs(leaf).max() > 1e-6, path


@pytest.mark.parametrize("name", ["conformer", "deepspeech"])
def test_an_utterances_logits_do_not_depend_on_the_batch(name):
    # Nor on the padding at its end, once no convolution sees where the array ends.
    make, _ = MODELS[name]
    model = make(**ONE_LAYER[make])
    variables = random_variables(model)
    apply = jax.jit(model.apply)
    logits, paddings = apply(variables, AUDIO, PADDINGS)
    shorter = 401 + 160 * 30
    alone, _ = apply(variables, AUDIO[1:2, :shorter], PADDINGS[1:2, :shorter])
    valid = np.asarray(paddings)[1] == 0
    assert valid.sum() == 7
    np.testing.assert_allclose(alone[0, :7], logits[1][valid], rtol=1e-4, atol=1e-4)


def test_only_training_masks_features():
    model = DEEPSPEECH(num_lstm_layers=0, time_mask_count=30)
    variables = random_variables(model)

    @functools.partial(jax.jit, static_argnums=1)
    def logits(key, train):
        rngs = {"dropout": key} if train else None
        return model.apply(variables, AUDIO, PADDINGS, train, True, 0.0, rngs=rngs)[0]

    evaluated, trained = logits(KEY, False), logits(KEY, True)
    assert np.abs(evaluated - trained).max() > 0.01
    np.testing.assert_array_equal(logits(KEY, True), trained)
    assert np.abs(logits(jax.random.PRNGKey(1), True) - trained).max() > 0.01


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            CONFORMER(activation="gelo"),
            "Conformer has no activation 'gelo'; did you mean gelu? it must be one "
            "of swish, gelu. Change it in the workload's facts.",
        ),
        (
            DEEPSPEECH(activation="swish"),
            "DeepSpeech has no activation 'swish'; it must be one of relu, tanh. "
            "Change it in the workload's facts.",
        ),
        (
            CONFORMER(encoder_dim=7, num_heads=1),
            "Conformer has encoder_dim 7; it must be an even number, and 4 at least, "
            "to hold sines and cosines of positions. Change it in the workload's "
            "facts.",
        ),
        (
            DEEPSPEECH(encoder_dim=7),
            "DeepSpeech has encoder_dim 7; it must be even, half for each direction. "
            "Change it in the workload's facts.",
        ),
    ],
)
def test_impossible_fields_are_named(model, message):
    audio = jnp.zeros((1, 1000))
    with pytest.raises(UserError) as error:
        jax.eval_shape(lambda: model.init(KEY, audio, audio))
    assert str(error.value) == message
