"""DLRM: outputs against plain NumPy, parameters, dropout, loss and errors."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
import pytest
from plain_graphs import dataless, layer_norm_epsilons, plain_dlrm

from algoperf.facts import UserError
from algoperf.spec import ForwardPassMode
from algoperf.spec import ParameterType as P
from workloads.criteo.dlrm import DLRM, ResNetDLRM, feed_dlrm
from workloads.criteo.losses import CLICKS, click_cross_entropy

TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY, OTHER_KEY = jax.random.PRNGKey(0), jax.random.PRNGKey(1)
SMALL_DLRM = {
    "vocab_size": 50,
    "embed_dim": 4,
    "bottom_dims": (7, 6, 4),
    "top_dims": (20, 18, 16, 12, 1),
}
SMALL_RESNET = {
    "vocab_size": 50,
    "embed_dim": 4,
    "bottom_dims": (5, 5, 5),
    "top_dims": (6, 6, 6, 6, 1),
}
MODELS = {
    "base": DLRM(**SMALL_DLRM),
    "layernorm": DLRM(**SMALL_DLRM, layer_norm=True),
    "resnet": ResNetDLRM(**SMALL_RESNET),
}
RANDOM = np.random.default_rng(29)


def random_features(rows: int) -> np.ndarray:
    """Counts as they come, and numbers far above the size of the table."""
    counts = np.log1p(RANDOM.integers(0, 30, size=(rows, 13)))
    numbers = RANDOM.integers(0, 40_000_000, size=(rows, 26))
    return np.concatenate([counts, numbers], axis=1).astype(np.float32)


FEATURES = random_features(6)


def shapes_of(model):
    features = jax.ShapeDtypeStruct((1, 39), jnp.float32)
    return jax.eval_shape(model.init, KEY, features)["params"]


def workload_of(model):
    batch = {"inputs": jax.ShapeDtypeStruct((1, 39), jnp.float32)}
    return dataless(model, feed_dlrm, batch, click_cross_entropy, CLICKS)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_plain_numpy(name):
    model = MODELS[name]
    # Large enough for every layer to show, normalised or not.
    params = plain.random_like(shapes_of(model), scale=0.5)
    ours = jax.jit(model.apply)({"params": params}, FEATURES)
    assert ours.shape == (6, 1)
    expected = plain_dlrm(params, FEATURES, resnet=name == "resnet")
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 0.05


def test_layer_norms_add_a_millionth_to_the_variance():
    assert layer_norm_epsilons(MODELS["layernorm"], FEATURES) == {1e-6}


def test_category_numbers_are_the_rounded_ones():
    # 2^24 + 1 is no float32: such a category has the row of its neighbour.
    model = DLRM(**SMALL_DLRM)
    params = plain.random_like(shapes_of(model))
    features = np.tile(FEATURES[:1], (2, 1))
    features[:, 13] = [2**24, np.float32(2**24 + 1)]
    first, second = model.apply({"params": params}, features)
    np.testing.assert_array_equal(first, second)


def dlrm_table(vocab=4_194_304, layer_norm=False):
    """Every path and shape of DLRM-small."""
    widths = [(13, 512), (512, 256), (256, 128), (506, 1024), (1024, 1024)]
    widths += [(1024, 512), (512, 256), (256, 1)]
    table = {"embedding_table": (vocab, 128)}
    for i, (inputs, outputs) in enumerate(widths):
        table[f"Dense_{i}/kernel"] = (inputs, outputs)
        table[f"Dense_{i}/bias"] = (outputs,)
    if layer_norm:
        for i, width in enumerate([512, 256, 128, 128, 1024, 1024, 512, 256]):
            table[f"LayerNorm_{i}/scale"] = table[f"LayerNorm_{i}/bias"] = (width,)
    return table


def resnet_table():
    inputs = [13, 256, 256, 256 + 26 * 128, 256, 256, 256, 256]
    table = {"embedding_table": (4_194_304, 128)}
    for i, (before, after) in enumerate(zip(inputs, 7 * [256] + [1], strict=True)):
        table[f"Dense_{i}/kernel"], table[f"Dense_{i}/bias"] = (before, after), (after,)
    return table


@pytest.mark.parametrize(
    ("model", "table", "count"),
    [
        (DLRM(), dlrm_table(), 539_267_457),
        (DLRM(embed_init_scale=1.0), dlrm_table(), 539_267_457),
        (DLRM(layer_norm=True), dlrm_table(layer_norm=True), 539_275_137),
        (DLRM(vocab_size=32 * 128 * 16), dlrm_table(65_536), 10_785_153),
        (ResNetDLRM(), resnet_table(), 538_121_473),
    ],
)
def test_the_tree_is_the_known_one(model, table, count):
    ours = plain.shape_table(shapes_of(model))
    assert ours == table
    assert sum(math.prod(shape) for shape in ours.values()) == count


def test_parameter_types_follow_the_layers():
    types = workload_of(DLRM(layer_norm=True)).model_params_types
    assert collections.Counter(jax.tree.leaves(types)) == {
        P.EMBEDDING: 1,
        P.WEIGHT: 8,
        P.BIAS: 8,
        P.LAYER_NORM_SCALE: 8,
        P.LAYER_NORM_BIAS: 8,
    }
    assert types["embedding_table"] == P.EMBEDDING
    types = workload_of(ResNetDLRM()).model_params_types
    assert types["embedding_table"] == P.EMBEDDING


@pytest.mark.parametrize(("scale", "bound"), [(None, 1 / 20), (1.0, 1.0)])
@pytest.mark.parametrize("small", [DLRM, ResNetDLRM])
def test_embeddings_start_uniform(scale, bound, small):
    fields = SMALL_DLRM if small is DLRM else SMALL_RESNET
    model = small(**fields | {"vocab_size": 400}, embed_init_scale=scale)
    start = jax.jit(lambda: model.init(KEY, FEATURES)["params"]["embedding_table"])
    table = np.asarray(start())
    assert 0 <= table.min() < 0.01 * bound
    assert 0.99 * bound < table.max() < bound
    np.testing.assert_allclose(table.mean(), bound / 2, rtol=0.03)


def test_layers_start_as_documented():
    fields = {"vocab_size": 9, "embed_dim": 32, "bottom_dims": (96, 64, 32)}
    model = DLRM(**fields, top_dims=(80, 64, 48, 40, 1))
    params, state = workload_of(model).init_model_fn(KEY)
    assert state is None
    for i in range(7):
        kernel, bias = (np.asarray(params[f"Dense_{i}"][n]) for n in ("kernel", "bias"))
        std = math.sqrt(2 / sum(kernel.shape))
        np.testing.assert_allclose(kernel.std(), std, rtol=0.06)
        largest = np.abs(kernel).max() / std
        # Uniform up to sqrt(3) deviations below, normal above.
        assert largest <= math.sqrt(3) * 1.001 if i < 3 else largest > 2.5
        assert 0.6 < bias.std() * math.sqrt(bias.size) < 1.4
    assert 0.001 < abs(params["Dense_7"]["bias"][0]) < 4  # a deviation of 1


@pytest.fixture(scope="module", params=MODELS)
def training(request):
    """A workload with params, and (params, rate, key, mask) -> (logits, gradients)."""
    model = MODELS[request.param]
    workload = workload_of(model)
    batch = {"inputs": FEATURES.copy(), "targets": np.array([1, 0, 0, 1, 0, 0.0])}
    batch["inputs"][5] = 0

    @jax.jit
    def step(params, rate, key, mask):
        def loss(params):
            logits, _ = workload.model_fn(
                params, batch, None, TRAIN, key, True, dropout_rate=rate
            )
            return workload.loss_fn(batch["targets"], logits, mask)["summed"], logits

        (_, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return logits, gradients

    return workload, plain.random_like(shapes_of(model)), batch, step


def test_gradients_are_finite_and_dense_and_reach_every_layer(training):
    _, params, batch, step = training
    _, gradients = step(params, 0.0, KEY, np.array([1, 1, 1, 1, 1, 0], np.float32))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(leaf)), path
        assert np.abs(leaf).max() > 1e-6, path
    of_table = np.asarray(gradients["embedding_table"])
    assert of_table.shape == (50, 4)
    used = np.unique(batch["inputs"][:5, 13:].astype(np.int64) % 50)
    np.testing.assert_array_equal(np.flatnonzero(np.abs(of_table).sum(axis=1)), used)


def test_a_batch_of_padding_has_no_gradient(training):
    _, params, _, step = training
    _, gradients = step(params, 0.1, KEY, np.zeros(6, np.float32))
    for leaf in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(leaf, 0.0)


def test_dropout_takes_a_traced_rate_and_a_key(training):
    workload, params, batch, step = training
    mask = np.ones(6, np.float32)
    evaluate = jax.jit(
        lambda params: workload.model_fn(
            params, batch, None, EVAL, KEY, False, dropout_rate=0.9
        )[0]
    )
    kept, _ = step(params, 0.0, KEY, mask)
    np.testing.assert_allclose(kept, evaluate(params), rtol=1e-5, atol=1e-6)
    dropped, _ = step(params, 0.5, KEY, mask)
    np.testing.assert_array_equal(step(params, 0.5, KEY, mask)[0], dropped)
    for rate, key in ((0.5, OTHER_KEY), (0.4, KEY), (0.0, KEY)):
        assert np.abs(dropped - step(params, rate, key, mask)[0]).max() > 1e-3
    assert step._cache_size() == 1
    nothing, _ = step(params, 1.0, KEY, mask)
    if isinstance(workload.model, DLRM):
        expected = np.broadcast_to(params["Dense_7"]["bias"][None], (6, 1))
    else:
        # Only the last branch is gone: as if its layer had no weights.
        without = params | {"Dense_6": jax.tree.map(np.zeros_like, params["Dense_6"])}
        expected = plain_dlrm(without, batch["inputs"], resnet=True)
    np.testing.assert_allclose(nothing, expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_one_computed_by_hand():
    logits = RANDOM.normal(scale=3, size=(5, 1)).astype(np.float32)
    labels = np.array([1, 0, 1, 0, 0], np.float32)
    p = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64)))
    expected = -np.log(np.where(labels == 1, p, 1 - p))
    loss = click_cross_entropy(labels, logits, label_smoothing=0.3)
    np.testing.assert_allclose(loss["per_example"], expected, rtol=1e-5)
    assert loss["n_valid_examples"] == 5
    mask = np.array([1, 1, 0, 1, 0], np.float32)
    logits[2], labels[4] = np.nan, np.nan
    loss = click_cross_entropy(labels, logits, mask)
    np.testing.assert_allclose(loss["summed"], expected[mask > 0].sum(), rtol=1e-5)
    assert loss["n_valid_examples"] == 3
    gradient = jax.grad(lambda z: click_cross_entropy(labels, z, mask)["summed"])
    assert np.all(np.isfinite(gradient(logits)))


def test_sums_of_batches_are_added_in_float64():
    # In float32 the small batches would all be lost next to the large one.
    large = {"loss": (np.float32(2**24), np.float32(2**24))}
    small = {"loss": (np.float32(0.5), np.float32(0))}
    values = CLICKS.summarize([large] + 1000 * [small])
    assert values["loss"] == (2**24 + 500) / 2**24


def test_the_sum_of_a_large_batch_is_within_a_millionth():
    logits = np.random.default_rng(1).normal(-3, 1, size=131_072).astype(np.float32)
    loss = jax.jit(click_cross_entropy)(np.zeros_like(logits), logits)["summed"]
    exact = np.log1p(np.exp(logits.astype(np.float64))).sum()
    np.testing.assert_allclose(loss, exact, rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "features", "text"),
    [
        (
            DLRM(**SMALL_DLRM),
            40,
            "DLRM got 40 features; it needs 13 counts and 26 categories. Check the "
            "data.",
        ),
        (
            DLRM(**SMALL_DLRM | {"bottom_dims": (7, 5)}),
            39,
            "DLRM's bottom_dims end with 5; they must end with embed_dim, 4, for inner "
            "products with the embeddings. Change them in the workload's facts.",
        ),
        (
            ResNetDLRM(**SMALL_RESNET | {"bottom_dims": (5, 6)}),
            39,
            "ResNetDLRM's bottom_dims are (5, 6); they must all be equal, for a layer "
            "to add to its input. Change them in the workload's facts.",
        ),
    ],
)
def test_what_does_not_fit_is_named(model, features, text):
    with pytest.raises(UserError) as error:
        jax.eval_shape(model.init, KEY, jnp.zeros((1, features)))
    assert str(error.value) == text
