"""ResNet: outputs and batch statistics against plain NumPy, sizes and errors."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
import pytest

from algoperf.facts import UserError
from algoperf.jax_sharding_utils import replicate, shard_along_batch_dim
from algoperf.spec import ForwardPassMode
from algoperf.workload import ForwardOptions
from workloads.cifar.model import cifar_resnet
from workloads.imagenet.resnet import ResNet, feed_resnet

KEY = jax.random.PRNGKey(0)
RANDOM = np.random.default_rng(11)
PLAIN_ACTIVATIONS = {"relu": plain.relu, "silu": plain.silu, "gelu": plain.gelu}
SMALL = {"num_filters": 4, "num_classes": 5}
STAGES = {"imagenet": (2, 1), "cifar": (1, 1, 1, 2)}


def small(stem: str, **fields) -> ResNet:
    fields = {"stage_sizes": STAGES[stem], **SMALL, **fields}
    return cifar_resnet(**fields) if stem == "cifar" else ResNet(**fields)


def images(batch: int, height: int, width: int) -> np.ndarray:
    return RANDOM.normal(size=(batch, height, width, 3)).astype(np.float32)


def shapes_of(model: ResNet, size: int = 32):
    batch = jnp.zeros((1, size, size, 3))
    return jax.eval_shape(lambda: model.init(KEY, batch, use_running_average=True))


# Stem, activation, height and width: odd ones pad unevenly, CIFAR has its own size.
CASES = [
    ("imagenet", "relu", 33, 46),
    ("imagenet", "silu", 18, 15),
    ("imagenet", "gelu", 16, 16),
    ("cifar", "relu", 32, 64),
]


@pytest.mark.parametrize(("stem", "activation", "height", "width"), CASES)
def test_logits_and_statistics_are_those_of_plain_numpy(
    stem, activation, height, width
):
    model = small(stem, activation=activation)
    variables = plain.random_like(shapes_of(model))
    inputs = images(3, height, width)
    forward = jax.jit(
        functools.partial(model.apply, mutable=["batch_stats"]), static_argnums=2
    )
    for use_running_average in (True, False):
        stats = variables["batch_stats"] if use_running_average else None
        reference = plain.PlainResNet(
            variables["params"], stats, PLAIN_ACTIVATIONS[activation]
        )
        expected = reference.logits(inputs, STAGES[stem], cifar=stem == "cifar")
        ours, written = forward(variables, inputs, use_running_average)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-5)
        assert np.std(expected) > 0.01
    check_statistics(variables["batch_stats"], written["batch_stats"], reference.state)


def check_statistics(before, after, of_batch) -> None:
    """0.9 of the old value and 0.1 of the batch's, for every normalisation."""
    assert plain.shape_table(before) == plain.shape_table(after)
    assert len(of_batch) == len(jax.tree.leaves(before)) / 2
    for path, (mean, var) in of_batch.items():
        old, new = before, after
        for key in path.split("/"):
            old, new = old[key], new[key]
        expected = {
            "mean": 0.9 * old["mean"] + 0.1 * mean,
            "var": 0.9 * old["var"] + 0.1 * var,
        }
        for name, value in expected.items():
            np.testing.assert_allclose(new[name], value, rtol=1e-4, atol=1e-5)


def test_statistics_are_of_the_global_batch_on_two_devices():
    model = small("imagenet")
    workload = plain.image_workload(model, feed_resnet)
    variables = plain.random_like(shapes_of(model))
    params, state = variables["params"], {"batch_stats": variables["batch_stats"]}
    # 4 images of 9x9 leave 4 numbers a channel in the last stage, where the biased
    # variance is 3/4 of the unbiased one; the halves of the batch are far apart.
    inputs = images(4, 9, 9)
    inputs[2:] += 1.5
    batch = shard_along_batch_dim({"inputs": inputs})
    assert len(batch["inputs"].addressable_shards) == 2
    step = jax.jit(
        lambda params, batch, state: workload.model_fn(
            params, batch, state, ForwardPassMode.TRAIN, KEY, update_batch_norm=True
        )
    )
    logits, new_state = step(replicate(params), batch, replicate(state))
    reference = plain.PlainResNet(params, None, plain.relu)
    expected = reference.logits(inputs, STAGES["imagenet"], cifar=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    check_statistics(state["batch_stats"], new_state["batch_stats"], reference.state)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    # The new state fits where the old one was: nothing is compiled again.
    step(replicate(params), batch, new_state)
    assert step._cache_size() == 1


@pytest.mark.parametrize("stem", STAGES)
def test_images_of_any_size_have_the_same_params(stem):
    model = small(stem)
    variables = plain.random_like(shapes_of(model))
    for size in (1, 2, 17, 96, 224):
        shapes = shapes_of(model, size)
        assert plain.shape_table(shapes) == plain.shape_table(variables)
    logits = jax.jit(model.apply, static_argnums=2)(variables, images(2, 1, 3), True)
    assert logits.shape == (2, 5)
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize("use_running_average", [True, False])
def test_feeding_passes_on_whose_statistics_count(use_running_average):
    def apply(inputs, **options):
        return inputs, options

    options = ForwardOptions(True, use_running_average, dropout_rate=0.5)
    fed = feed_resnet(apply, {"inputs": 7, "targets": 3}, options)
    assert fed == (7, {"use_running_average": use_running_average})


def test_fields_may_come_from_json():
    fields = {"stage_sizes": (1, 2), "activation": "silu", "last_bn_scale": 8.0}
    again = ResNet(**json.loads(json.dumps(fields)))
    assert plain.shape_table(shapes_of(again)) == plain.shape_table(
        shapes_of(ResNet(**fields))
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"activation": "gelo"},
            "ResNet has no activation 'gelo'; did you mean gelu or relu? it must be "
            "one of relu, silu, gelu. Change it in the workload's facts.",
        ),
        (
            {"block": "bottle"},
            "ResNet has no block 'bottle'; did you mean bottleneck? it must be one of "
            "bottleneck, basic. Change it in the workload's facts.",
        ),
        (
            {"stem": "8x8"},
            "ResNet has no stem '8x8'; it must be one of imagenet, cifar. Change it "
            "in the workload's facts.",
        ),
    ],
)
def test_a_field_that_is_not_there_is_named(fields, message):
    with pytest.raises(UserError) as error:
        shapes_of(ResNet(**fields))
    assert str(error.value) == message
