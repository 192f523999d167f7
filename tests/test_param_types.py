"""The type of a parameter comes from the class of the module that owns it."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from algoperf.param_types import param_types
from algoperf.spec import ParameterType as P


class ConvBlock(nn.Module):
    """Has "conv" in its name, and a dense layer in it."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3,))(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        return nn.Dense(4)(x)


class Routed(nn.Module):
    """States the types of its own parameters."""

    parameter_types = {  # noqa: RUF012 (Flax reads annotations as fields)
        "table": P.EMBEDDING,
        "bias": P.LAYER_NORM_BIAS,
    }

    @nn.compact
    def __call__(self, x):
        table = self.param("table", nn.initializers.ones, (4,))
        bias = self.param("bias", nn.initializers.ones, (4,))
        other = self.param("other", nn.initializers.ones, (4,))
        return nn.Dense(4)(x) * jnp.sum(table * bias * other)


class FusedAttention(nn.Module):
    """Our own attention block; its norm and its gate are no projections."""

    is_attention = True

    @nn.compact
    def __call__(self, x):
        x = nn.LayerNorm(name="norm")(x)
        q, k, v = jnp.split(nn.Dense(12, name="qkv")(x), 3, axis=-1)
        k = k + nn.Dense(4, use_bias=False, name="kv")(x)
        gate = nn.Dense(4, name="gate")(x)
        scale = self.param("scale", nn.initializers.ones, ())
        return nn.Dense(4, name="out")(q * k * v * gate * scale)


class CausalConv(nn.Conv):
    """A subclass of a Flax layer."""


class Everything(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(10, 4, name="Token_Embed")(tokens)
        x = ConvBlock(name="conv_block")(x)
        x = nn.LayerNorm()(x)
        x = nn.RMSNorm(name="rms")(x)
        x = nn.GroupNorm(num_groups=2, name="group")(x)
        x = nn.MultiHeadDotProductAttention(num_heads=2, name="attention")(x, x)
        x = FusedAttention(name="fused")(x)
        x = Routed(name="routed")(x)
        x = CausalConv(4, (1,), name="causal")(x)
        x = nn.ConvTranspose(4, (2,), use_bias=False, name="up")(x)
        gain = self.param("Gain", nn.initializers.ones, ())
        bias = self.param("bias", nn.initializers.zeros, ())
        return nn.Dense(2, name="head_embedding")(x) * gain + bias


PROJECTION = {"bias": P.ATTENTION_BIAS}
DENSE = {"kernel": P.WEIGHT, "bias": P.BIAS}
CONV = {"kernel": P.CONV_WEIGHT, "bias": P.BIAS}
LAYER_NORM = {"scale": P.LAYER_NORM_SCALE, "bias": P.LAYER_NORM_BIAS}
EXPECTED = {
    "Token_Embed": {"embedding": P.EMBEDDING},
    "conv_block": {
        "Conv_0": CONV,
        "BatchNorm_0": {"scale": P.BATCH_NORM_SCALE, "bias": P.BATCH_NORM_BIAS},
        "Dense_0": DENSE,
    },
    "LayerNorm_0": LAYER_NORM,
    "rms": {"scale": P.LAYER_NORM_SCALE},
    "group": LAYER_NORM,
    "attention": {
        "query": {"kernel": P.ATTENTION_Q, **PROJECTION},
        "key": {"kernel": P.ATTENTION_K, **PROJECTION},
        "value": {"kernel": P.ATTENTION_V, **PROJECTION},
        "out": {"kernel": P.ATTENTION_OUT, **PROJECTION},
    },
    "fused": {
        "norm": LAYER_NORM,
        "qkv": {"kernel": P.ATTENTION_QKV, **PROJECTION},
        "kv": {"kernel": P.ATTENTION_KV},
        "gate": DENSE,
        "out": {"kernel": P.ATTENTION_OUT, **PROJECTION},
        "scale": P.WEIGHT,
    },
    "routed": {
        "table": P.EMBEDDING,
        "bias": P.LAYER_NORM_BIAS,
        "other": P.WEIGHT,
        "Dense_0": DENSE,
    },
    "causal": CONV,
    "up": {"kernel": P.CONV_WEIGHT},
    "Gain": P.WEIGHT,
    "bias": P.BIAS,
    "head_embedding": DENSE,
}


@pytest.fixture(scope="module")
def types():
    return param_types(lambda: init())


def init():
    return Everything().init(jax.random.PRNGKey(0), jnp.zeros((1, 3), jnp.int32))


def test_there_is_a_type_for_every_parameter_and_nothing_else(types):
    assert set(types) == set(EXPECTED)


@pytest.mark.parametrize("module", EXPECTED)
def test_types_follow_the_class_of_the_owner(types, module):
    assert types[module] == EXPECTED[module]


def test_types_have_the_tree_of_the_params(types):
    params = jax.eval_shape(lambda: init())["params"]
    assert jax.tree.structure(params) == jax.tree.structure(types)
    jax.tree.map(lambda leaf, kind: (leaf.shape, kind.name), params, types)
    assert all(isinstance(kind, P) for kind in jax.tree.leaves(types))


def test_types_are_numbers_of_algoperf(types):
    assert types["attention"]["query"]["kernel"] == 8
    assert types["attention"]["out"]["bias"] == 14


def test_asking_twice_gives_the_same_types():
    # JAX caches what it traced: the second trace must not miss the modules.
    assert [param_types(small), param_types(small)] == [LAYER_NORM, LAYER_NORM]


def small():
    return nn.LayerNorm().init(jax.random.PRNGKey(0), jnp.zeros((1, 3)))


def test_types_are_found_without_computing_anything():
    def too_large():
        return nn.Dense(10**6).init(jax.random.PRNGKey(0), jnp.zeros((1, 10**6)))

    assert param_types(too_large) == DENSE


def test_a_normalisation_inside_flax_attention_is_a_normalisation():
    def normalised():
        layer = nn.MultiHeadDotProductAttention(num_heads=2, normalize_qk=True)
        return layer.init(jax.random.PRNGKey(0), jnp.zeros((1, 3, 4)))

    types = param_types(normalised)
    assert types["query_ln"] == {"scale": P.LAYER_NORM_SCALE}
    assert types["key_ln"] == {"scale": P.LAYER_NORM_SCALE}


def test_modules_made_in_setup_and_shared_modules_are_found():
    class Tied(nn.Module):
        def setup(self):
            self.shared_embed = nn.Embed(10, 4)
            self.layers = [nn.Conv(4, (1,)) for _ in range(2)]

        def __call__(self, tokens):
            x = self.shared_embed(tokens)
            for layer in self.layers:
                x = layer(x)
            return self.shared_embed.attend(x)

    types = param_types(
        lambda: Tied().init(jax.random.PRNGKey(0), jnp.zeros((1, 3), jnp.int32))
    )
    assert types == {
        "shared_embed": {"embedding": P.EMBEDDING},
        "layers_0": CONV,
        "layers_1": CONV,
    }


@pytest.mark.parametrize("lifted", ["remat", "scan"])
def test_lifted_modules_are_found(lifted):
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _=None):
            return nn.LayerNorm()(nn.Conv(4, (1,))(x)), None

    block = nn.remat(Block) if lifted == "remat" else scanned(Block)
    types = param_types(
        lambda: block().init(jax.random.PRNGKey(0), jnp.zeros((1, 3, 4)), None)
    )
    assert types == {"Conv_0": CONV, "LayerNorm_0": LAYER_NORM}


def scanned(block):
    return nn.scan(
        block, variable_axes={"params": 0}, split_rngs={"params": True}, length=2
    )
