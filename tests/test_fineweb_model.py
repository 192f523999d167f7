"""The language model against NumPy, its invariants, counts, names and types."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import plain_language_model as plain
import pytest

from algoperf.facts import UserError
from algoperf.spec import ParameterType
from workloads.fineweb.model import (
    LanguageModel,
    initial_attention_scale,
    max_causal_logit,
    rotate,
    unit_length,
)
from workloads.loading import without_data

SMALL = {
    "vocab_size": 31,
    "width": 16,
    "depth": 2,
    "num_heads": 2,
    "mlp_dim": 24,
    "context_length": 12,
    "compute_dtype": "float32",
}
TOKENS = np.random.default_rng(3).integers(31, size=(2, 9))
KEY = jax.random.PRNGKey(0)


@pytest.fixture(scope="module")
def params() -> dict:
    """The first ones and noise: as they are, matrices are small and heads alike."""
    start = LanguageModel(**SMALL).init(KEY, jnp.asarray(TOKENS))["params"]
    leaves, tree = jax.tree.flatten(start)
    keys = jax.random.split(KEY, len(leaves))
    noisy = [
        leaf + 0.3 * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(tree, noisy)


def logits(params, tokens=TOKENS, **fields) -> np.ndarray:
    model = LanguageModel(**SMALL | fields)
    return np.asarray(model.apply({"params": params}, jnp.asarray(tokens)), np.float32)


def test_it_computes_what_the_formulas_say(params):
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    wanted = [plain.logits(exact, row, heads=2, theta=500_000.0) for row in TOKENS]
    np.testing.assert_allclose(logits(params), wanted, rtol=2e-4, atol=2e-4)


def test_bfloat16_is_close_and_says_so_in_its_logits(params):
    model = LanguageModel(**SMALL | {"compute_dtype": "bfloat16"})
    found = model.apply({"params": params}, jnp.asarray(TOKENS))
    assert found.dtype == jnp.bfloat16
    error = np.abs(np.asarray(found, np.float32) - logits(params))
    assert error.mean() < 0.03 * logits(params).std()
    assert error.mean() > 0  # it does compute in another type


def test_a_token_sees_none_after_it(params):
    changed = TOKENS.copy()
    changed[:, 5] = (changed[:, 5] + 1) % 31
    before, after = logits(params), logits(params, changed)
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert np.all(np.any(before[:, 5:] != after[:, 5:], axis=-1))


def test_rotations_keep_lengths_and_see_distances_alone():
    x, y = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)

    def turned(vector):
        return np.asarray(rotate(jnp.tile(vector, (1, 40, 1, 1)), 500_000.0))[0, :, 0]

    at_x, at_y = turned(x), turned(y)
    np.testing.assert_allclose(at_x[0], x)
    np.testing.assert_allclose(
        np.linalg.norm(at_x, axis=-1), np.linalg.norm(x), rtol=1e-6
    )
    products = at_x @ at_y.T
    for distance in (1, 7):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-4, atol=1e-5)


def test_rotations_are_in_float32_whatever_comes_in():
    x = jnp.ones((1, 1000, 1, 4), jnp.bfloat16)
    found = rotate(x, 10_000.0)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(
        found[0, 999, 0, :2],
        [math.cos(999) - math.sin(999), math.cos(999) + math.sin(999)],
        rtol=1e-5,
    )


def test_a_length_of_zero_has_a_gradient():
    gradient = jax.grad(lambda x: unit_length(x).sum())(jnp.zeros((1, 4)))
    assert np.all(np.isfinite(gradient))
    found = unit_length(jnp.asarray([[3.0, 4.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8]], rtol=1e-6)


def test_the_largest_attention_logit_is_that_of_what_is_seen(params):
    query = np.random.default_rng(0).standard_normal((2, 6, 3, 4)).astype(np.float32)
    key = np.random.default_rng(1).standard_normal((2, 6, 3, 4)).astype(np.float32)
    seen = [
        query[b, t, h] @ key[b, s, h]
        for b in range(2)
        for h in range(3)
        for t in range(6)
        for s in range(t + 1)
    ]
    np.testing.assert_allclose(
        max_causal_logit(jnp.asarray(query), jnp.asarray(key)), max(seen), rtol=1e-6
    )
    _, sown = LanguageModel(**SMALL).apply(
        {"params": params}, jnp.asarray(TOKENS), mutable=["intermediates"]
    )
    found = [float(leaf) for leaf in jax.tree.leaves(sown)]
    scales = [
        float(params[f"blocks_{i}"]["CausalAttn_0"]["attn_scale"]) for i in (0, 1)
    ]
    # Every first token sees itself, so a logit is near the scale if q and k agree; it
    # is never above.
    assert len(found) == 2
    assert all(0 < f <= 1.0001 * s for f, s in zip(found, scales, strict=True))


@pytest.mark.parametrize(("length", "scale"), [(1024, 20.0), (64, 12.0), (2, 1.0)])
def test_attention_starts_from_a_scale_of_the_context(length, scale):
    assert initial_attention_scale(length) == scale
    assert abs(plain.expected_scale(length) - scale) < 0.05


def test_the_full_model_is_the_references():
    workload = without_data("finewebedu_lm")
    assert workload.num_params == 252_815_372
    shapes = jax.tree.map(lambda s: s.shape_tuple, workload.param_shapes)
    assert shapes["embed"] == {"embedding": (50_257, 1_024)}
    attention = shapes["blocks_11"]["CausalAttn_0"]
    assert attention.pop("attn_scale") == ()
    assert attention.keys() == {"query", "key", "value", "out"}
    assert all(leaf == {"kernel": (1_024, 1_024)} for leaf in attention.values())
    assert shapes["blocks_0"]["Mlp_0"]["Dense_0"] == {"kernel": (1_024, 8_192)}
    assert sum(name.startswith("blocks_") for name in shapes) == 12
    types = workload.model_params_types
    assert types["embed"]["embedding"] == ParameterType.EMBEDDING
    assert types["out_ln"]["scale"] == ParameterType.LAYER_NORM_SCALE
    # AlgoPerf's rule knows neither "attn" nor "rmsnorm".
    assert set(jax.tree.leaves(types["blocks_0"])) == {ParameterType.WEIGHT}


def test_initial_values_are_those_of_the_facts():
    fields = SMALL | {"vocab_size": 500, "width": 64, "mlp_dim": 128, "depth": 3}
    params = LanguageModel(**fields).init(KEY, jnp.asarray(TOKENS))["params"]
    block = params["blocks_2"]
    small = 0.02 / math.sqrt(6)
    for leaf, std in (
        (params["embed"]["embedding"], 0.02),
        (block["CausalAttn_0"]["query"]["kernel"], 0.02),
        (block["CausalAttn_0"]["out"]["kernel"], small),
        (block["Mlp_0"]["Dense_0"]["kernel"], 0.02),
        (block["Mlp_0"]["Dense_1"]["kernel"], small),
    ):
        np.testing.assert_allclose(np.std(leaf), std, rtol=0.05)
        assert leaf.dtype == jnp.float32
    assert np.all(block["RMSNorm_0"]["scale"] == 1)
    assert block["CausalAttn_0"]["attn_scale"] == initial_attention_scale(12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 18}, "width 18 and 2 heads; the width must be a multiple of twice"),
        (
            {"compute_dtype": "bfloat"},
            "no compute_dtype 'bfloat'; did you mean bfloat16",
        ),
        ({"context_length": 1}, "context_length 1; it must be 2 at least"),
    ],
)
def test_fields_that_make_no_model_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        LanguageModel(**SMALL | fields).init(KEY, jnp.asarray(TOKENS))
