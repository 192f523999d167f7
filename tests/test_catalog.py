"""What every workload in the catalog promises: the full ones by shapes, the mini ones
by training on their data."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.cli.bundled import bundled_submissions, search_space_beside
from algoperf.data_options import DataOptions
from algoperf.facts import EVAL_SPLITS, UserError
from algoperf.spec import ForwardPassMode, LossType, ParameterType, ShapeTuple
from algoperf.submission import load_submission
from algoperf.submission_check import trace_step
from algoperf.tuning import read_search_space, study_points
from algoperf.workload import Workload
from workloads.catalog import CATALOG
from workloads.loading import load, without_data

FULL = [name for name, facts in CATALOG.items() if facts.scale == "full"]
MINI = [name for name, facts in CATALOG.items() if facts.scale == "mini"]
# Base workloads whose loss ignores label smoothing, as in AlgoPerf.
IGNORE_LABEL_SMOOTHING = {
    "criteo1tb_mini",
    "fastmri_mini",
    "librispeech_conformer_mini",
    "librispeech_deepspeech_mini",
}
TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY, OTHER_KEY = jax.random.PRNGKey(0), jax.random.PRNGKey(1)


def slow_if_variant(names: list[str]) -> list[Any]:
    """A variant trains as its base does: `make test-slow` goes through them all.

    What takes no step is asked of every name by `make test`.
    """
    return [
        name
        if CATALOG[name].base == name
        else pytest.param(name, marks=pytest.mark.slow)
        for name in names
    ]


def any_workload(name: str) -> Workload:
    return load(name) if CATALOG[name].scale == "mini" else without_data(name)


@pytest.fixture(scope="module", params=slow_if_variant(MINI))
def mini(request) -> Workload:
    return load(request.param)


@pytest.fixture(scope="module")
def trained(mini) -> dict[str, Any]:
    """A workload's first params, state and batch, and its jitted loss."""
    params, state = mini.init_model_fn(KEY)

    @functools.partial(jax.jit, static_argnames=("mode", "update"))
    def loss(params, state, batch, key, rate, smoothing, mode, update):
        logits, new_state = mini.model_fn(
            params, batch, state, mode, key, update, dropout_rate=rate
        )
        weights = batch.get("weights")
        found = mini.loss_fn(batch["targets"], logits, weights, smoothing)
        return found["summed"] / found["n_valid_examples"], new_state

    batch = next(mini.batches("train", 16))
    return {"params": params, "state": state, "batch": batch, "loss": loss}


def loss_of(trained, key=KEY, rate=0.0, smoothing=0.0, mode=TRAIN, update=False):
    arguments = trained["params"], trained["state"], trained["batch"]
    return trained["loss"](*arguments, key, rate, smoothing, mode=mode, update=update)


@pytest.mark.parametrize("name", [*FULL, *slow_if_variant(MINI)])
def test_params_shapes_and_types_are_one_tree(name):
    workload = any_workload(name)
    shapes, types = workload.param_shapes, workload.model_params_types
    assert jax.tree.structure(shapes) == jax.tree.structure(types)
    leaves = jax.tree.leaves(shapes)
    assert all(isinstance(leaf, ShapeTuple) for leaf in leaves)
    assert workload.num_params == sum(math.prod(s.shape_tuple) for s in leaves)
    for path, kind in jax.tree_util.tree_flatten_with_path(types)[0]:
        names = [key.key for key in path]
        assert isinstance(kind, ParameterType)
        assert all(type(name) is str for name in names)
        is_embedding = kind == ParameterType.EMBEDDING
        assert not is_embedding or any("embed" in name.lower() for name in names)
    assert any(workload.is_output_params(key) for key in shapes)


@pytest.mark.parametrize("name", slow_if_variant([*FULL, *MINI]))
def test_a_step_of_adamw_goes_through_by_shapes(name):
    folder = bundled_submissions()["adamw"]
    space = search_space_beside(folder)
    (point,) = study_points(read_search_space(space), 1)
    bytes_per_param = trace_step(any_workload(name), load_submission(folder), point)
    assert round(bytes_per_param, 1) == 8.0


@pytest.mark.parametrize("name", FULL)
def test_params_begin_with_the_key_that_algoperf_takes(name):
    # WORKLOADS facts, 6.
    base = CATALOG[name].base
    pair = jax.random.split(KEY, 2)
    whole = base in ("imagenet_resnet", "cifar", "mnist")
    wanted = KEY if whole else pair[1] if base == "ogbg" else pair[0]
    found = without_data(name).init_key(KEY)
    np.testing.assert_array_equal(found, wanted)


def test_pixels_have_the_published_mean_and_deviation():
    resnet = without_data("imagenet_resnet")
    assert resnet.train_mean == (123.675, 116.28, 103.53)
    assert resnet.train_stddev == pytest.approx((58.395, 57.12, 57.375))
    mnist = without_data("mnist")
    assert (mnist.train_mean, mnist.train_stddev) == (0.1307, 0.3081)
    assert without_data("cifar").train_mean[0] == pytest.approx(125.3, abs=0.01)


@pytest.mark.parametrize("name", FULL)
def test_random_batches_are_as_the_model_wants_them(name):
    workload = without_data(name)
    for split in ("train", *EVAL_SPLITS):
        batch = next(workload.batches(split, 2))
        wanted = workload.example_batch
        # Training batches may say more, such as which sentences share a row.
        assert batch.keys() >= wanted.keys() - {"weights"}
        if split != "train":
            assert batch.keys() == wanted.keys() | {"weights"}
        inputs, examples = (jax.tree.leaves(b["inputs"]) for b in (batch, wanted))
        for leaf, example in zip(inputs, examples, strict=True):
            assert leaf.shape == (2 * len(example), *example.shape[1:])
            assert leaf.dtype == example.dtype
        targets, examples = (jax.tree.leaves(b["targets"]) for b in (batch, wanted))
        assert [len(leaf) for leaf in targets] == [2 * len(leaf) for leaf in examples]


@pytest.mark.parametrize("name", MINI)
def test_random_data_is_refused_where_real_data_comes_along(name):
    with pytest.raises(UserError, match=r"--data=random is for full workloads"):
        load(name, options=DataOptions(random=True))


def test_params_are_replicated_float32_and_the_keys_own(mini, trained):
    again, _ = mini.init_model_fn(KEY)
    other, _ = mini.init_model_fn(OTHER_KEY)
    jax.tree.map(np.testing.assert_array_equal, again, trained["params"])
    for leaf in jax.tree.leaves(trained["params"]):
        assert leaf.dtype == jnp.float32
        assert leaf.is_fully_replicated
    differing = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), again, other)
    assert any(jax.tree.leaves(differing))


def test_a_batch_is_a_function_of_seed_and_index(mini):
    straight = mini.batches("train", 16, seed=5)
    batches = [next(straight) for _ in range(3)]
    resumed = next(mini.batches("train", 16, seed=5, position=2))
    jax.tree.map(np.testing.assert_array_equal, resumed, batches[2])
    other = next(mini.batches("train", 16, seed=6))
    inputs, others = (jax.tree.leaves(b["inputs"]) for b in (batches[0], other))
    assert not all(map(np.array_equal, inputs, others))
    rows = {len(leaf) for leaf in jax.tree.leaves(batches[0])}
    if {len(leaf) for leaf in jax.tree.leaves(mini.example_batch)} == {1}:
        assert rows == {16}
    else:  # examples are packed into shards
        assert all(count % 8 == 0 for count in rows)


@pytest.mark.parametrize("split", EVAL_SPLITS)
def test_an_evaluation_has_every_example_once(mini, split):
    # An example has one weight, or several as it has labels or tokens.
    weights = [np.asarray(batch["weights"]) for batch in mini.batches(split, 384)]
    found = sum(np.count_nonzero(w.reshape(len(w), -1).any(axis=1)) for w in weights)
    assert found == mini.facts.examples[split]


def test_the_first_loss_and_its_gradient_are_sane(mini, trained):
    value, grads = jax.value_and_grad(
        lambda params: loss_of(trained | {"params": params})[0]
    )(trained["params"])
    logits, _ = jax.eval_shape(
        lambda: mini.model_fn(
            trained["params"], trained["batch"], trained["state"], EVAL, KEY, False
        )
    )
    if mini.loss_type == LossType.MEAN_ABSOLUTE_ERROR:
        typical = 1.0  # targets are normalised
    else:
        # Speech has paddings beside the logits. One logit is one of two classes.
        typical = np.log(max(jax.tree.leaves(logits)[0].shape[-1], 2))
    assert 0.2 < value / typical < 3
    assert all(np.all(np.isfinite(grad)) for grad in jax.tree.leaves(grads))
    assert jax.tree.structure(grads) == jax.tree.structure(trained["params"])


def test_only_updates_in_training_change_the_model_state(trained):
    before = trained["state"]
    for mode, update in ((TRAIN, False), (EVAL, True)):
        _, after = loss_of(trained, mode=mode, update=update)
        jax.tree.map(np.testing.assert_array_equal, after, before)
    _, after = loss_of(trained, update=True)
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (before, after)]
    assert shapes[0] == shapes[1]
    changed = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), before, after)
    assert any(jax.tree.leaves(changed)) == bool(before)


def test_evaluations_ignore_the_key_and_the_dropout_rate(trained):
    values = {
        float(loss_of(trained, key=key, rate=rate, mode=EVAL)[0])
        for key in (KEY, OTHER_KEY)
        for rate in (0.0, 0.5)
    }
    assert len(values) == 1


def test_rates_are_traced(mini, trained):
    # A head that starts at zero gives equal logits, which smoothing does not change.
    leaves, tree = jax.tree.flatten(trained["params"])
    keys = jax.random.split(KEY, len(leaves))
    moved = [
        leaf + 0.01 * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    trained = trained | {"params": jax.tree.unflatten(tree, moved)}
    loss_of(trained)
    cached = trained["loss"]._cache_size()
    ignored = mini.facts.base in IGNORE_LABEL_SMOOTHING
    plain = loss_of(trained)[0]
    assert (loss_of(trained, smoothing=0.3)[0] == plain) == ignored
    loss_of(trained, rate=0.4)
    assert trained["loss"]._cache_size() == cached
