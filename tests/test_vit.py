"""ViT: outputs and dropout against plain NumPy, positions, gradients and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
import pytest
from flax import linen as nn

from algoperf.facts import UserError
from algoperf.layers import Dropout
from algoperf.spec import ForwardPassMode
from algoperf.workload import ForwardOptions
from workloads.imagenet.vit import ViT, feed_vit, position_embedding

TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY, OTHER_KEY = jax.random.PRNGKey(0), jax.random.PRNGKey(1)
SMALL = {
    "width": 16,
    "depth": 2,
    "mlp_dim": 24,
    "num_heads": 2,
    "patch_size": 4,
    "num_classes": 5,
}
RANDOM = np.random.default_rng(13)
# 5 x 3 patches: rows and columns cannot be taken for one another. The last 2 rows and
# the last column of pixels fill no patch.
IMAGES = RANDOM.normal(size=(3, 22, 13, 3)).astype(np.float32)
ALL = {"glu": True, "post_ln": True, "map_head": True}


def shapes_of(model: ViT):
    images = jnp.zeros((1, 32, 32, 3))
    return jax.eval_shape(lambda: model.init(KEY, images))["params"]


@pytest.mark.parametrize(
    "fields", [{}, {"glu": True}, {"post_ln": True}, {"map_head": True}, ALL]
)
def test_logits_are_those_of_plain_numpy(fields):
    model = ViT(**SMALL, **fields)
    params = plain.random_like(shapes_of(model))
    x = plain.vit_tokens(params, IMAGES)
    assert x.shape == (3, 15, 16)
    glu, post_ln = fields.get("glu", False), fields.get("post_ln", False)
    x = plain.vit_encode(params, x, glu=glu, post_ln=post_ln)
    map_head = fields.get("map_head", False)
    expected = plain.vit_classify(params, x, map_head=map_head)
    ours = jax.jit(model.apply)({"params": params}, IMAGES)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 0.05


@pytest.mark.parametrize("fields", [{}, ALL])
def test_layer_norms_add_a_millionth_to_the_variance(fields):
    # Positions alone give tokens a variance of 1/2: numbers would not show it.
    model, epsilons = ViT(**SMALL, **fields), []

    def note(next_call, args, kwargs, context):
        if isinstance(context.module, nn.LayerNorm):
            epsilons.append(context.module.epsilon)
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note):
        shapes_of(model)
    assert epsilons == 5 * [1e-6]  # two a block, and the encoder's or the head's


def test_positions_are_sines_and_cosines_number_by_number():
    np.testing.assert_allclose(
        position_embedding(14, 14, 384), plain.sine_cosine(14, 14, 384), atol=1e-6
    )
    # By hand: row 1, column 2 of a 3 x 4 grid, frequencies 1 and 1/10000.
    small = position_embedding(3, 4, 8)
    assert small.shape == (12, 8)
    assert small.dtype == np.float32
    by_hand = [0.909297, 0.0002, -0.416147, 1.0, 0.841471, 0.0001, 0.540302, 1.0]
    np.testing.assert_allclose(small[1 * 4 + 2], by_hand, atol=1e-6)


@pytest.mark.parametrize("width", [4, 18])
def test_a_width_that_cannot_hold_positions_is_named(width):
    with pytest.raises(UserError) as error:
        shapes_of(ViT(**SMALL | {"width": width}))
    assert str(error.value) == (
        f"ViT has width {width}; it must be a multiple of 4, and 8 at least, to hold "
        "two sines and two cosines of positions. Change it in the workload's facts."
    )


@pytest.mark.parametrize(("fields", "mode"), [({}, TRAIN), (ALL, EVAL)])
def test_gradients_are_finite_and_reach_every_layer(fields, mode):
    model = ViT(**SMALL | fields | {"depth": 1})
    workload = plain.image_workload(model, feed_vit)
    params = plain.random_like(shapes_of(model))
    batch = {"inputs": IMAGES, "targets": np.array([3, 0, 4])}

    @jax.jit
    def gradients(params, dropout_rate):
        def loss(params):
            logits, _ = workload.model_fn(
                params, batch, None, mode, KEY, True, dropout_rate=dropout_rate
            )
            return workload.loss_fn(batch["targets"], logits)["summed"]

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(params, 0.1)):
        assert np.all(np.isfinite(leaf))
        # Softmax does not change when all scores do: a key's bias has no gradient.
        if tuple(key.key for key in path[-2:]) != ("key", "bias"):
            assert np.abs(leaf).max() > 1e-6, path


@pytest.fixture(scope="module")
def dropping():
    """(rate, key, train) -> logits; with the params, and what it compiled."""
    model = ViT(**SMALL | {"depth": 1}, map_head=True)
    workload = plain.image_workload(model, feed_vit)
    params = plain.random_like(shapes_of(model))

    @jax.jit
    def train(rate, key):
        batch = {"inputs": IMAGES}
        return workload.model_fn(
            params, batch, None, TRAIN, key, True, dropout_rate=rate
        )[0]

    return workload, params, train


def test_rate_0_is_an_evaluation_and_keys_decide_what_is_dropped(dropping):
    workload, params, train = dropping
    call = jax.jit(
        lambda params: workload.model_fn(
            params, {"inputs": IMAGES}, None, EVAL, KEY, False, dropout_rate=0.9
        )[0]
    )
    np.testing.assert_allclose(train(0.0, KEY), call(params), rtol=1e-5, atol=1e-6)
    dropped = train(0.5, KEY)
    np.testing.assert_array_equal(train(0.5, KEY), dropped)
    for other in (train(0.5, OTHER_KEY), train(0.4, KEY), train(0.0, KEY)):
        assert np.abs(dropped - other).max() > 0.01
    assert train._cache_size() == 1  # the rate is traced


def test_the_pooling_head_drops_nothing(dropping):
    # At rate 1 tokens are 0 and no branch adds to them: what the encoder gives is its
    # last bias. If the head dropped units too, its MLP would give its own last bias.
    _, params, train = dropping
    zeros = np.zeros((3, 15, 16))
    tokens = plain.layer_norm(params["Transformer"]["encoder_layernorm"], zeros)
    expected = plain.vit_classify(params, tokens, map_head=True)
    np.testing.assert_allclose(train(1.0, KEY), expected, rtol=1e-4, atol=1e-5)


def test_dropout_is_after_the_positions_in_mlps_and_after_branches():
    model, sites = ViT(**SMALL, map_head=True), []

    def note(next_call, args, kwargs, context):
        module = context.module
        if isinstance(module, nn.Dropout):
            sites.append("Flax's own")  # which attention would use
        if isinstance(module, Dropout) and not kwargs["deterministic"]:
            sites.append("/".join(module.path[:-1]))
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(
            lambda: model.init({"params": KEY, "dropout": KEY}, IMAGES, True, 0.1)
        )
    expected = [""]
    for i in range(2):
        block = f"Transformer/encoderblock_{i}"
        expected += [block, f"{block}/MlpBlock_3", block]
    assert sites == expected


@pytest.mark.parametrize("train", [True, False])
def test_feeding_passes_on_the_mode_and_the_rate(train):
    def apply(inputs, **options):
        return inputs, options

    options = ForwardOptions(train, use_running_average=False, dropout_rate=0.5)
    fed = feed_vit(apply, {"inputs": 7, "targets": 3}, options)
    assert fed == (7, {"train": train, "dropout_rate": 0.5})
