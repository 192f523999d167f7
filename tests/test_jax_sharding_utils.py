"""One mesh over all devices; everything is either replicated or split by rows."""

import jax
import numpy as np
from jax.sharding import PartitionSpec

from algoperf import jax_sharding_utils as sharding

TREE = {"kernel": np.arange(12.0).reshape(4, 3), "state": {"bias": np.arange(4)}}


def test_shardings_are_equal_on_every_call():
    for make in (
        sharding.get_mesh,
        sharding.get_replicate_sharding,
        sharding.get_batch_dim_sharding,
    ):
        assert make() == make()
        assert hash(make()) == hash(make())


def test_the_mesh_has_one_axis_over_all_devices_in_their_order():
    mesh = sharding.get_mesh()
    assert mesh.axis_names == ("batch",)
    assert mesh.devices.tolist() == jax.devices()
    assert jax.device_count() == 2


def test_specs_name_the_axis():
    assert sharding.get_replicate_sharding().spec == PartitionSpec()
    assert sharding.get_batch_dim_sharding().spec == PartitionSpec("batch")


def test_replicate_gives_every_device_everything():
    placed = sharding.replicate(TREE)
    assert jax.tree.structure(placed) == jax.tree.structure(TREE)
    for ours, theirs in zip(
        jax.tree.leaves(placed), jax.tree.leaves(TREE), strict=True
    ):
        assert ours.sharding == sharding.get_replicate_sharding()
        assert ours.committed
        for shard in ours.addressable_shards:
            np.testing.assert_array_equal(shard.data, theirs)


def test_shard_along_batch_dim_splits_the_rows():
    placed = sharding.shard_along_batch_dim(TREE)
    for ours, theirs in zip(
        jax.tree.leaves(placed), jax.tree.leaves(TREE), strict=True
    ):
        assert ours.sharding == sharding.get_batch_dim_sharding()
        first, second = (shard.data for shard in ours.addressable_shards)
        np.testing.assert_array_equal(first, theirs[:2])
        np.testing.assert_array_equal(second, theirs[2:])


def test_sums_over_a_split_array_are_over_all_devices():
    placed = sharding.shard_along_batch_dim(TREE)
    total = jax.jit(lambda tree: tree["kernel"].sum())(placed)
    assert total == 66


def test_display_shard_info_shows_the_shape_and_every_device(capsys):
    sharding.display_shard_info(sharding.shard_along_batch_dim(TREE)["kernel"])
    shown = capsys.readouterr().out
    assert "(4, 3)" in shown
    assert shown.count("(2, 3)") == 2
