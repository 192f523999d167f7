"""Parameters of the speech models: counts, names and types; where units are dropped."""

import collections

import jax
import numpy as np
import plain_speech as speech
import plain_vision as plain
import pytest
from flax import linen as nn

from algoperf.layers import Dropout
from algoperf.spec import ParameterType
from algoperf.workload import ForwardOptions
from workloads.librispeech.conformer import Conformer, QueryScaler
from workloads.librispeech.deepspeech import DeepSpeech
from workloads.librispeech.encoder_input import feed_speech, position_code

KEY = jax.random.PRNGKey(0)
FULL = 320_000  # samples
T = ParameterType

LAYER_NORM = {
    "scale": ((512,), T.LAYER_NORM_SCALE),
    "bias": ((512,), T.LAYER_NORM_BIAS),
}
BATCH_NORM = {
    "scale": ((512,), T.BATCH_NORM_SCALE),
    "bias": ((512,), T.BATCH_NORM_BIAS),
}


def dense(inputs: int, outputs: int):
    return {"kernel": ((inputs, outputs), T.WEIGHT), "bias": ((outputs,), T.BIAS)}


def under(name: str, table):
    return {f"{name}/{key}": value for key, value in table.items()}


def subsample():
    table = under("Dense_0", dense(20 * 512, 512))
    for i, channels in enumerate((1, 512)):
        conv = {
            "kernel": ((3, 3, channels, 512), T.CONV_WEIGHT),
            "bias": ((512,), T.BIAS),
        }
        table |= under(f"Conv2dSubsampling_{i}", conv)
    return under("Subsample_0", table)


def attention():
    table = {"QueryScaler_0/scale": ((64,), T.WEIGHT)}
    for name, type_ in (
        ("query", T.ATTENTION_Q),
        ("key", T.ATTENTION_K),
        ("value", T.ATTENTION_V),
    ):
        table[f"{name}/kernel"] = ((512, 8, 64), type_)
        table[f"{name}/bias"] = ((8, 64), T.ATTENTION_BIAS)
    table["out/kernel"] = ((8, 64, 512), T.ATTENTION_OUT)
    table["out/bias"] = ((512,), T.ATTENTION_BIAS)
    return under("MultiHeadDotProductAttention_0", table)


def conformer_table(post_layer_norm: bool):
    """Path -> (shape, type)."""
    norm = under("LayerNorm_0", LAYER_NORM)
    feed_forward = (
        norm | under("Dense_0", dense(512, 2048)) | under("Dense_1", dense(2048, 512))
    )
    convolution = norm | under("BatchNorm_0", BATCH_NORM)
    convolution["Conv_0/kernel"] = ((5, 1, 512), T.CONV_WEIGHT)
    for i in range(3):
        # In AlgoPerf, which goes by names, these are CONV_WEIGHT.
        convolution |= under(f"Dense_{i}", dense(512, 512))
    block = under("MultiHeadedSelfAttention_0", norm | attention())
    block |= under("ConvolutionBlock_0", convolution)
    for i in range(2):
        block |= under(f"FeedForwardModule_{i}", feed_forward)
    block |= norm if post_layer_norm else {}
    table = subsample() | norm | under("Dense_0", dense(512, 1024))
    for i in range(4):
        table |= under(f"ConformerBlock_{i}", block)
    return table


def deepspeech_table(layer_norms: bool):
    """Path -> (shape, type)."""
    cell = {}
    for gate in "ifgo":
        cell[f"i{gate}/kernel"] = ((512, 256), T.WEIGHT)
        cell |= under(f"h{gate}", dense(256, 256))
    norm = (
        under("LayerNorm_0", LAYER_NORM)
        if layer_norms
        else under("BatchNorm_0", BATCH_NORM)
    )
    lstm = under("forward", cell) | under("backward", cell)
    table = subsample() | under("Dense_0", dense(512, 1024))
    for i in range(6):
        table |= under(f"BatchRNN_{i}", norm | under("BidirectionalLSTM_0", lstm))
    for i in range(3):
        layer = norm | under("Dense_0", dense(512, 512))
        table |= under(f"FeedForwardModule_{i}", layer)
    return table | ({} if layer_norms else under("LayerNorm_0", LAYER_NORM))


DEEPSPEECH_NORMS = DeepSpeech(
    layer_norm_everywhere=True,
    decoder_layer_norm=False,
    time_mask_count=15,
    freq_mask_count=4,
)
# Name -> (model, its table, number of params, number of batch normalisations).
KNOWN = {
    "conformer": (Conformer(), conformer_table(True), 32_321_792, 4),
    "attention_temperature": (
        Conformer(attention_temperature=1.6),
        conformer_table(True),
        32_321_792,
        4,
    ),
    "layernorm": (
        Conformer(use_post_layer_norm=False),
        conformer_table(False),
        32_317_696,
        4,
    ),
    "gelu": (Conformer(activation="gelu"), conformer_table(True), 32_321_792, 4),
    "deepspeech": (DeepSpeech(), deepspeech_table(False), 18_381_312, 9),
    "tanh": (DeepSpeech(activation="tanh"), deepspeech_table(False), 18_381_312, 9),
    "no_resnet": (DeepSpeech(residual=False), deepspeech_table(False), 18_381_312, 9),
    "norm_and_spec_aug": (DEEPSPEECH_NORMS, deepspeech_table(True), 18_380_288, 0),
}


@pytest.mark.parametrize("name", KNOWN)
def test_names_shapes_types_and_counts(name):
    model, table, count, batch_norms = KNOWN[name]
    workload = speech.speech_workload(model, samples=FULL)
    shapes = jax.tree.map(
        lambda leaf: np.broadcast_to(0, leaf.shape_tuple), workload.param_shapes
    )
    assert plain.shape_table(shapes) == {key: table[key][0] for key in table}
    types = jax.tree_util.tree_leaves_with_path(workload.model_params_types)
    assert {"/".join(k.key for k in path): type_ for path, type_ in types} == {
        key: table[key][1] for key in table
    }
    assert workload.num_params == count
    state = plain.shape_table(workload.model_state_shapes)
    assert len(state) == 2 * batch_norms
    assert set(state.values()) <= {(512,)}
    assert (workload.model_state_shapes == {}) == (batch_norms == 0)


def test_full_utterances_have_500_frames_of_1024_pieces():
    for model in (Conformer(), DeepSpeech()):
        audio = jax.ShapeDtypeStruct((2, FULL), np.float32)
        outputs, _ = jax.eval_shape(
            lambda audio, model=model: model.init_with_output(KEY, audio, audio), audio
        )
        assert [x.shape for x in outputs] == [(2, 500, 1024), (2, 500)]


SMALL = {"vocab_size": 9, "encoder_dim": 64}
SMALL_MODELS = [
    Conformer(num_blocks=1, **SMALL),
    # The LSTM's start has a test of its own.
    DeepSpeech(num_lstm_layers=0, num_feed_forward_layers=1, **SMALL),
]


@pytest.mark.parametrize("model", SMALL_MODELS)
def test_kernels_start_uniform_by_xavier_and_biases_at_zero(model):
    audio, paddings = speech.audio_batch()
    starts = {}

    def note(next_call, args, kwargs, context):
        layer = context.module
        if isinstance(layer, (nn.Dense, nn.DenseGeneral, nn.Conv)):
            starts["/".join((*layer.path, "kernel"))] = (
                layer.kernel_init,
                layer.bias_init,
            )
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note):
        shapes = jax.eval_shape(lambda: model.init(KEY, audio, paddings)["params"])
    kernels = {path for path in plain.shape_table(shapes) if "kernel" in path}
    assert set(starts) == kernels
    xavier = nn.initializers.xavier_uniform()(KEY, (3, 3, 40, 50))
    for kernel_init, bias_init in set(starts.values()):
        np.testing.assert_array_equal(kernel_init(KEY, (3, 3, 40, 50)), xavier)
        assert np.all(bias_init(KEY, (7,)) == 0.0)


def test_queries_start_unscaled():
    query = np.random.default_rng(3).normal(size=(2, 3, 2, 5)).astype(np.float32)
    scaled, variables = QueryScaler().init_with_output(KEY, query)
    np.testing.assert_allclose(scaled, query, rtol=1e-6)
    assert variables["params"]["scale"].tolist() == [0.0] * 5


def dropout_sites(model):
    """Paths of the modules that drop units in training, in order, and the rates."""
    sites = []
    audio, paddings = speech.audio_batch()

    def note(next_call, args, kwargs, context):
        assert not isinstance(context.module, nn.Dropout)
        if isinstance(context.module, Dropout) and not kwargs["deterministic"]:
            sites.append(("/".join(context.module.path[:-1]), kwargs["rate"]))
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note):
        rngs = {"params": KEY, "dropout": KEY}
        jax.eval_shape(lambda: model.init(rngs, audio, paddings, True, True, 0.3))
    assert {rate for _, rate in sites} == {0.3}
    return [path for path, _ in sites]


def test_dropout_follows_the_given_rate_at_every_site():
    block = "ConformerBlock_0"
    assert dropout_sites(SMALL_MODELS[0]) == [
        "Subsample_0",
        *2 * [f"{block}/FeedForwardModule_0"],
        f"{block}/MultiHeadedSelfAttention_0",
        f"{block}/ConvolutionBlock_0",
        *2 * [f"{block}/FeedForwardModule_1"],
    ]
    # AlgoPerf's residual layers have the constant 0.1 instead.
    expected = ["Subsample_0", "FeedForwardModule_0"]
    assert dropout_sites(SMALL_MODELS[1]) == expected


def test_the_rate_is_traced_and_0_drops_nothing():
    model = SMALL_MODELS[1].clone(time_mask_count=0, freq_mask_count=0)
    audio, paddings = speech.audio_batch()
    shapes = jax.eval_shape(lambda: model.init(KEY, audio, paddings))
    variables = plain.random_like(shapes)

    @jax.jit
    def logits(rate):
        rngs = {"dropout": KEY}
        return model.apply(variables, audio, paddings, True, True, rate, rngs=rngs)[0]

    evaluated, _ = jax.jit(model.apply)(variables, audio, paddings)
    np.testing.assert_allclose(logits(0.0), evaluated, rtol=1e-4, atol=1e-5)
    assert np.abs(logits(0.5) - evaluated).max() > 0.01
    assert logits._cache_size() == 1


def test_positions_are_sines_then_cosines_number_by_number():
    code = position_code(500, 512)
    assert code.dtype == np.float32
    np.testing.assert_allclose(code, speech.position_code(500, 512), atol=1e-5)
    # By hand: frame 2, frequencies 1 and 1/10000.
    by_hand = [0.909297, 0.0002, -0.416147, 1.0]
    np.testing.assert_allclose(position_code(3, 4)[2], by_hand, atol=1e-6)


@pytest.mark.parametrize("train", [True, False])
def test_feeding_passes_on_audio_paddings_mode_and_rate(train):
    def apply(*inputs, **options):
        return inputs, options

    options = ForwardOptions(train, use_running_average=False, dropout_rate=0.5)
    batch = {"inputs": (7, 8), "targets": (3, 4)}
    assert feed_speech(apply, batch, options) == (
        (7, 8),
        {"train": train, "use_running_average": False, "dropout_rate": 0.5},
    )


def test_types_are_counted_as_the_facts_do():
    counts = collections.Counter(type_ for _, type_ in conformer_table(True).values())
    assert counts[T.CONV_WEIGHT] == 2 + 4
    assert counts[T.ATTENTION_BIAS] == 4 * 4
    assert counts[T.BATCH_NORM_SCALE] == 4
    assert counts[T.LAYER_NORM_SCALE] == 4 * 5 + 1
