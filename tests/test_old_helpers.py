"""`param_utils` and `data_utils`: names that submissions import from AlgoPerf."""

import jax
import numpy as np
import pytest

from algoperf.data_utils import shard_and_maybe_pad_np
from algoperf.param_utils import jax_param_shapes, jax_param_types
from algoperf.spec import ParameterType as T
from algoperf.spec import ShapeTuple


def test_types_go_by_names_in_the_params_own_tree():
    params = {
        "Embed_0": {"embedding": 0},
        "shared_embedding": {"kernel": 0},
        "Conv_0": {"kernel": 0, "bias": 0},
        "BatchNorm_0": {"scale": 0, "bias": 0},
        "LayerNorm_0": {"scale": 0, "bias": 0},
        "MultiHeadDotProductAttention_0": {
            "query": {"kernel": 0, "bias": 0},
            "in_proj_weight": 0,
            "key": 0,
            "value": 0,
            "out": 0,
            "attn_scale": 0,
        },
        "Dense_0": {"kernel": 0, "bias": 0},
    }
    assert jax_param_types(params) == {
        "Embed_0": {"embedding": T.EMBEDDING},
        "shared_embedding": {"kernel": T.EMBEDDING},
        "Conv_0": {"kernel": T.CONV_WEIGHT, "bias": T.BIAS},
        "BatchNorm_0": {"scale": T.BATCH_NORM_SCALE, "bias": T.BATCH_NORM_BIAS},
        "LayerNorm_0": {"scale": T.LAYER_NORM_SCALE, "bias": T.LAYER_NORM_BIAS},
        "MultiHeadDotProductAttention_0": {
            "query": {"kernel": T.ATTENTION_Q, "bias": T.ATTENTION_BIAS},
            "in_proj_weight": T.ATTENTION_QKV,
            "key": T.ATTENTION_K,
            "value": T.ATTENTION_V,
            "out": T.ATTENTION_OUT,
            "attn_scale": T.WEIGHT,
        },
        "Dense_0": {"kernel": T.WEIGHT, "bias": T.BIAS},
    }


def test_shapes_have_the_params_own_tree():
    found = jax_param_shapes({"a": {"b": np.zeros((2, 3))}, "c": np.zeros(())})
    assert found == {"a": {"b": ShapeTuple((2, 3))}, "c": ShapeTuple(())}


def test_a_batch_that_divides_is_left_alone():
    size = 2 * jax.local_device_count()
    batch = {"inputs": np.ones((size, 3)), "targets": np.arange(size)}
    padded = shard_and_maybe_pad_np(batch)
    assert padded.keys() == batch.keys()
    np.testing.assert_array_equal(padded["targets"], batch["targets"])


def test_padding_is_masked():
    batch = {"inputs": np.ones((3, 2)), "targets": np.array([5, 6, 7])}
    padded = shard_and_maybe_pad_np(batch, global_batch_size=4)
    np.testing.assert_array_equal(padded["inputs"], [[1, 1]] * 3 + [[0, 0]])
    np.testing.assert_array_equal(padded["targets"], [5, 6, 7, 0])
    np.testing.assert_array_equal(padded["weights"], [1, 1, 1, 0])
    assert "weights" not in batch


def test_weights_have_the_targets_shape_below_three_dimensions():
    tokens = {"inputs": np.ones((1, 4)), "targets": np.ones((1, 4))}
    assert shard_and_maybe_pad_np(tokens, 0.0, 2)["weights"].shape == (2, 4)
    images = {"inputs": np.ones((1, 4)), "targets": np.ones((1, 4, 4))}
    assert shard_and_maybe_pad_np(images, 0.0, 2)["weights"].shape == (2,)
    one = shard_and_maybe_pad_np(tokens, 1.0, 2)  # as the speech workloads pad
    assert one["inputs"][1].tolist() == [1, 1, 1, 1]


def test_a_batch_that_is_too_large_is_named():
    batch = {"inputs": np.ones((3, 2)), "targets": np.ones(3)}
    with pytest.raises(ValueError, match="3 examples does not fit global_batch_size=2"):
        shard_and_maybe_pad_np(batch, global_batch_size=2)
