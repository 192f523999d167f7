"""What is done to image batches on the devices, against NumPy, on one and on two."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.data import ArraySource
from algoperf.data_options import DataOptions
from algoperf.jax_sharding_utils import get_batch_dim_sharding
from workloads.catalog import CATALOG
from workloads.cifar import workload as cifar
from workloads.imagenet.mixup import mixup_weight
from workloads.imagenet.random_draws import batch_key
from workloads.imagenet.workload import build_resnet, mix_images, normalise_images

# Of red, green and blue in 0 ... 1: what is published.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR = (
    (0.49139968, 0.48215827, 0.44653124),
    (0.24703233, 0.24348505, 0.26158768),
)
CLASSES, BATCH = 5, 6
close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)


def batch_of(**more) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (BATCH, 8, 7, 3), np.uint8)
    return {"inputs": images, "targets": np.arange(BATCH, dtype=np.int32) % 5, **more}


def keyed(index: int = 2) -> dict[str, np.ndarray]:
    """A training batch as the data sources deliver it."""
    return batch_of(mixup_key=np.tile(batch_key(11, index), (BATCH, 1)))


def normalised(images, constants=IMAGENET) -> np.ndarray:
    mean, stddev = (np.array(three, np.float64) for three in constants)
    return (images / 255 - mean) / stddev


def mixed(batch) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets by hand, from the weight that the key gives."""
    key = jax.random.wrap_key_data(batch["mixup_key"][0], impl="threefry2x32")
    weight = float(mixup_weight(key))
    images, onehot = normalised(batch["inputs"]), np.eye(CLASSES)[batch["targets"]]
    before = [BATCH - 1, *range(BATCH - 1)]
    images, targets = (
        weight * values + (1 - weight) * values[before] for values in (images, onehot)
    )
    return images, targets


mix = functools.partial(mix_images, num_classes=CLASSES)
jitted = functools.cache(jax.jit)  # the gammas of mixup take seconds to compile


def test_pixels_are_normalised_by_imagenets_constants():
    batch = batch_of(weights=np.ones(BATCH, np.float32))
    result = normalise_images(batch)
    assert result["inputs"].dtype == jnp.float32
    close(result["inputs"], normalised(batch["inputs"]))
    assert result["targets"] is batch["targets"]
    assert result["weights"] is batch["weights"]
    assert batch["inputs"].dtype == np.uint8, "the batch itself stays as it was"


def test_cifar_has_constants_of_its_own():
    workload = cifar.build(CATALOG["cifar"], None, DataOptions(random=True))
    (raw,) = workload.data.batches("validation", 4, 0)
    (batch,) = workload.batches("validation", 4)
    close(batch["inputs"], normalised(raw["inputs"], CIFAR))


@pytest.mark.parametrize("index", range(6))
def test_training_batches_are_mixed_by_the_weight_of_their_key(index):
    batch = keyed(index)
    result = jitted(mix)(batch)
    images, targets = mixed(batch)
    assert result.keys() == {"inputs", "targets"}
    assert result["targets"].dtype == result["inputs"].dtype == jnp.float32
    close(result["inputs"], images)
    close(result["targets"], targets)
    close(result["targets"].sum(axis=1), 1)


def test_weights_of_mixup_differ_between_batches_and_seeds():
    keys = {
        (seed, index): batch_key(seed, index) for seed in (0, 1) for index in (0, 1)
    }
    weights = {
        float(mixup_weight(jax.random.wrap_key_data(key, impl="threefry2x32")))
        for key in keys.values()
    }
    assert len(weights) == len(keys)


def test_evaluation_batches_are_not_mixed():
    batch = batch_of(weights=np.ones(BATCH, np.float32))
    result, plain = mix(batch), normalise_images(batch)
    assert result.keys() == plain.keys()
    for name, array in plain.items():
        np.testing.assert_array_equal(result[name], array)
    assert result["targets"].dtype == np.int32


@pytest.mark.parametrize(
    ("finish", "batch"),
    [(normalise_images, batch_of()), (mix, keyed()), (mix, batch_of())],
)
def test_two_devices_do_what_one_does(finish, batch):
    sharding = get_batch_dim_sharding()
    split = jax.device_put(batch, sharding)
    two = jax.jit(finish, out_shardings=sharding)(split)
    one = jitted(finish)(batch)
    for name, array in one.items():
        assert len(array.sharding.device_set) == 1
        assert {len(part.data) for part in two[name].addressable_shards} == {BATCH // 2}
        assert two[name].dtype == array.dtype
        np.testing.assert_allclose(two[name], array, rtol=1e-6, atol=1e-6)


def test_a_workload_finishes_its_batches_on_every_device():
    facts = CATALOG["imagenet_resnet_mini"]
    images = batch_of()["inputs"]
    arrays = {"inputs": images, "targets": np.zeros(BATCH, np.int32)}
    data = ArraySource(lambda: {"validation": arrays}, 0, lambda raw: raw)
    workload = replace(build_resnet(facts, None, DataOptions()), data=data)
    found = list(workload.batches("validation", 4))
    inputs = np.concatenate([batch["inputs"] for batch in found])
    weights = np.concatenate([batch["weights"] for batch in found])
    assert weights.tolist() == [1] * BATCH + [0] * 2
    close(inputs[:BATCH], normalised(images))
    assert len(found[0]["inputs"].addressable_shards) == 2
