"""wmt's Transformer against NumPy; packing, padding and caching change nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import plain_transformer
import pytest
from plain_vision import shape_table
from small_wmt import FIELDS, VARIANTS, model_of, padded, random_params, sentences

from algoperf.facts import UserError
from algoperf.spec import ParameterType
from workloads.loading import without_data
from workloads.wmt.layers import position_embedding, shifted_right
from workloads.wmt.packing import packed
from workloads.wmt.transformer import Transformer

every_variant = pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
SOURCES, TARGETS = sentences(5, seed=1), sentences(5, seed=2)


def apply(model, params, *arguments, **keywords):
    run = functools.partial(model.apply, **keywords)
    return np.asarray(jax.jit(run)({"params": params}, *arguments))


def unpacked(model, params, length=8):
    return apply(model, params, padded(SOURCES, length), padded(TARGETS, length))


@every_variant
def test_logits_are_those_of_plain_numpy(fields):
    model = model_of(**fields)
    params = random_params(model)
    found = unpacked(model, params)
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        read = np.append(0, target[:-1])
        expected = plain_transformer.logits(params, FIELDS | fields, source, read)
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(
            found[row, : len(target)], expected, rtol=2e-4, atol=2e-5
        )


@every_variant
def test_the_largest_attention_logit_is_the_one_of_plain_numpy(fields, monkeypatch):
    model = model_of(**fields)
    params = random_params(model)
    batch = padded(SOURCES, 8), padded(TARGETS, 8)
    _, written = model.apply({"params": params}, *batch, mutable=["intermediates"])
    largest = []
    plain = plain_transformer.attention_logits

    def recorded(query, keys):
        logits = plain(query, keys)
        largest.append(logits.max())
        return logits

    monkeypatch.setattr(plain_transformer, "attention_logits", recorded)
    for source, target in zip(SOURCES, TARGETS, strict=True):
        read = np.append(0, target[:-1])
        plain_transformer.logits(params, FIELDS | fields, source, read)
    sown = jax.tree.leaves(written)
    assert len(sown) == 3 * FIELDS["depth"]
    np.testing.assert_allclose(max(map(float, sown)), max(largest), rtol=1e-4)


def packed_logits(model, params, row_length=24):
    """The logits of the sentences, from one row that has them all."""
    pairs = list(zip(SOURCES, TARGETS, strict=True))
    batch = packed([pairs], row_length)
    row = apply(
        model,
        params,
        *(batch[name] for name in ("inputs", "targets")),
        **batch_extras(batch),
    )[0]
    ends = np.cumsum([len(target) for target in TARGETS])
    return np.split(row[: ends[-1]], ends[:-1])


def batch_extras(batch):
    return {name: batch[name] for name in batch if "_" in name}


def test_sentences_of_a_row_do_not_see_each_other():
    model = model_of(shift_across_sentences=False)
    params = random_params(model)
    alone, found = unpacked(model, params), packed_logits(model, params)
    for row, logits in enumerate(found):
        expected = alone[row, : len(logits)]
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_algoperfs_decoder_reads_the_end_of_the_sentence_before():
    model = model_of()
    assert model.shift_across_sentences
    params = random_params(model)
    for row, logits in enumerate(packed_logits(model, params)):
        first = 0 if row == 0 else TARGETS[row - 1][-1]
        read = np.append(first, TARGETS[row][:-1])
        expected = plain_transformer.logits(params, FIELDS, SOURCES[row], read)
        np.testing.assert_allclose(logits, expected, rtol=2e-4, atol=2e-5)


def test_tokens_are_shifted_within_rows_or_sentences():
    targets = jnp.array([[5, 6, 2, 7, 2, 0]])
    segmentation = jnp.array([[1, 1, 1, 2, 2, 0]])
    assert shifted_right(targets).tolist() == [[0, 5, 6, 2, 7, 2]]
    within = shifted_right(targets, segmentation)
    assert within.tolist() == [[0, 5, 6, 0, 7, 0]]


@pytest.mark.parametrize("length", [6, 9, 30])
def test_padding_changes_nothing(length):
    model = model_of()
    params = random_params(model)
    expected, found = unpacked(model, params), unpacked(model, params, length)
    for row, target in enumerate(TARGETS):
        part = row, slice(len(target))
        np.testing.assert_allclose(found[part], expected[part], rtol=1e-4, atol=1e-5)


@every_variant
def test_a_cached_step_is_the_forward_pass(fields):
    model = model_of(**fields)
    params, variables = random_params(model), {"params": random_params(model)}
    inputs, targets = padded(SOURCES, 8), padded(TARGETS, 8)
    everywhere = np.where(targets == 0, 3, targets)  # no padding: all can be compared
    expected = apply(model, params, inputs, everywhere)
    source = model.apply(variables, inputs, method=Transformer.encode)
    cache = model.empty_cache(len(inputs), 1, everywhere.shape[1])
    mask = (inputs > 0)[:, None, None]
    step = jax.jit(functools.partial(model.apply, method=Transformer.step))
    read = np.asarray(shifted_right(everywhere))
    for index in range(everywhere.shape[1]):
        logits, cache = step(
            variables, read[:, index : index + 1], index, cache, source, mask
        )
        np.testing.assert_allclose(
            logits[:, 0], expected[:, index], rtol=1e-4, atol=1e-5
        )


def test_dropout_is_after_embeddings_and_branches_and_only_in_training():
    model = model_of()
    params = random_params(model)
    inputs, targets = padded(SOURCES, 8), padded(TARGETS, 8)

    @functools.partial(jax.jit, static_argnames="train")
    def logits(rate, train=True, key=0):
        return model.apply(
            {"params": params},
            inputs,
            targets,
            train=train,
            dropout_rate=rate,
            rngs={"dropout": jax.random.PRNGKey(key)},
        )

    np.testing.assert_array_equal(logits(0.5, train=False), logits(0.0, train=False))
    np.testing.assert_allclose(
        logits(0.0), logits(0.0, train=False), rtol=1e-4, atol=1e-6
    )
    assert np.any(logits(0.5) != logits(0.5, key=1))
    # At rate 1 nothing is left of embeddings and branches: norms give their bias.
    nothing = logits(1.0)
    bias = params["decoder"]["encoderdecoder_layernorm"]["bias"]
    expected = params["shared_embedding"]["embedding"] @ bias / np.sqrt(len(bias))
    np.testing.assert_allclose(
        nothing, np.broadcast_to(expected, nothing.shape), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # AlgoPerf's documentation, and its code by abstract evaluation.
        ("wmt", 133_521_408),
        ("wmt_post_ln", 133_517_312),
        ("wmt_attention_temp", 133_521_408),
        ("wmt_glu_tanh", 146_116_608),
    ],
)
def test_parameter_counts_are_algoperfs(name, count):
    assert without_data(name).num_params == count


def test_names_shapes_and_types():
    workload = without_data("wmt_glu_tanh")
    table = shape_table(
        jax.tree.map(
            lambda leaf: np.empty(leaf.shape_tuple, bool), workload.param_shapes
        )
    )
    types = workload.model_params_types
    assert table["shared_embedding/embedding"] == (32_000, 1024)
    block = "decoder/encoderdecoderblock_5"
    attention = f"{block}/MultiHeadDotProductAttention_1"
    assert table[f"{attention}/query/kernel"] == (1024, 16, 64)
    assert table[f"{attention}/out/kernel"] == (16, 64, 1024)
    assert table[f"{block}/MlpBlock_0/Dense_2/kernel"] == (1024, 1024)
    assert table["encoder/encoder_layernorm/scale"] == (1024,)
    assert not [name for name in table if "Attention" in name and "bias" in name]
    found = types["decoder"]["encoderdecoderblock_5"]["MultiHeadDotProductAttention_0"]
    assert [found[name]["kernel"] for name in ("query", "key", "value", "out")] == [
        ParameterType.ATTENTION_Q,
        ParameterType.ATTENTION_K,
        ParameterType.ATTENTION_V,
        ParameterType.ATTENTION_OUT,
    ]
    assert types["shared_embedding"]["embedding"] == ParameterType.EMBEDDING


def test_initial_parameters_have_the_published_spread():
    model = model_of(vocab_size=2_000, width=64, mlp_dim=96)
    tokens = np.ones((1, 3), np.int32)
    params = jax.jit(model.init)(jax.random.PRNGKey(0), tokens, tokens)["params"]
    assert np.std(params["shared_embedding"]["embedding"]) == pytest.approx(1, rel=0.02)
    block = params["encoder"]["encoderblock_0"]
    for kernel, limit in (
        # Xavier: uniform up to sqrt(6 / (inputs + outputs)).
        (block["MlpBlock_0"]["Dense_0"]["kernel"], np.sqrt(6 / (64 + 96))),
        (
            block["MultiHeadDotProductAttention_0"]["out"]["kernel"],
            np.sqrt(6 / (64 + 64)),
        ),
    ):
        assert 0.98 * limit < np.abs(kernel).max() <= limit
        assert np.std(kernel) == pytest.approx(limit / np.sqrt(3), rel=0.05)
    assert 0 < np.std(block["MlpBlock_0"]["Dense_0"]["bias"]) < 2e-6


def test_positions_are_sines_then_cosines():
    table = position_embedding(7, 8)
    np.testing.assert_allclose(table, plain_transformer.positions(7, 8), atol=1e-6)


@pytest.mark.parametrize("fields", [{"width": 9}, {"num_heads": 3}, {"width": 2}])
def test_a_width_that_does_not_go_is_refused(fields):
    with pytest.raises(UserError, match=r"has width \d+ and \d heads"):
        random_params(model_of(**fields))


def test_an_unknown_activation_is_refused():
    with pytest.raises(UserError, match=r"no activation 'tahn'; did you mean tanh"):
        random_params(model_of(activation="tahn"))
