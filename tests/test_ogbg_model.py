"""Graph network: outputs against plain NumPy, shards, parameters, dropout, errors."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import plain_vision as plain
import pytest
from plain_graphs import dataless, layer_norm_epsilons, pack_graphs, plain_graph_logits

from algoperf.facts import UserError
from algoperf.jax_sharding_utils import get_batch_dim_sharding, get_replicate_sharding
from algoperf.spec import ForwardPassMode
from algoperf.spec import ParameterType as P
from workloads.ogbg.losses import GRAPH_LABELS, label_cross_entropy
from workloads.ogbg.model import GraphNetwork, Graphs, feed_graphs

TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
KEY, OTHER_KEY = jax.random.PRNGKey(0), jax.random.PRNGKey(1)
SMALL = {
    "hidden_dims": (8,),
    "latent_dim": 6,
    "num_message_passing_steps": 2,
    "num_outputs": 5,
}
RANDOM = np.random.default_rng(17)


def random_graph(nodes: int, edges: int):
    return {
        "nodes": RANDOM.normal(size=(nodes, 9)).astype(np.float32),
        "edges": RANDOM.normal(size=(edges, 3)).astype(np.float32),
        "ends": [tuple(RANDOM.integers(nodes, size=2)) for _ in range(edges)],
    }


# One without edges, one with a single node and an edge to itself.
GRAPHS = [random_graph(*size) for size in ((4, 7), (3, 0), (1, 1), (5, 9), (2, 3))]


def packed(shards: int, nodes: int = 20, edges: int = 24, per_shard: int = 6):
    fields, rows = pack_graphs(GRAPHS, shards, nodes, edges, per_shard)
    return Graphs(**fields), rows


def example(nodes=27, edges=56):
    shapes = {
        "nodes": ((1, nodes, 9), jnp.float32),
        "edges": ((1, edges, 3), jnp.float32),
        "senders": ((1, edges), jnp.int32),
        "receivers": ((1, edges), jnp.int32),
        "n_node": ((1, 2), jnp.int32),
        "n_edge": ((1, 2), jnp.int32),
    }
    leaves = {name: jax.ShapeDtypeStruct(*leaf) for name, leaf in shapes.items()}
    return Graphs(**leaves)


def workload_of(model):
    batch = {"inputs": example()}
    return dataless(model, feed_graphs, batch, label_cross_entropy, GRAPH_LABELS)


def shapes_of(model):
    return jax.eval_shape(model.init, KEY, example())["params"]


def random_params(model):
    # Wide, so that activations are not linear where these numbers lie.
    return plain.random_like(shapes_of(model), scale=0.5)


@pytest.mark.parametrize(
    ("fields", "activation", "layers", "shards"),
    [
        ({}, plain.relu, 1, 1),
        ({"activation": "gelu"}, plain.gelu, 1, 2),
        ({"activation": "silu"}, plain.silu, 1, 4),
        ({"hidden_dims": (8, 7)}, plain.relu, 2, 5),
    ],
)
def test_outputs_are_those_of_plain_numpy(fields, activation, layers, shards):
    # Graph by graph there, in any number of shards here.
    model = GraphNetwork(**SMALL | fields)
    params = random_params(model)
    graphs, rows = packed(shards)
    ours = np.asarray(jax.jit(model.apply)({"params": params}, graphs))
    assert ours.shape == (6 * shards, 5)
    assert np.all(np.isfinite(ours))
    expected = [
        plain_graph_logits(
            params, graph, rounds=2, layers=layers, activation=activation
        )
        for graph in GRAPHS
    ]
    np.testing.assert_allclose(ours[rows], expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 0.3


@pytest.fixture(scope="module")
def training():
    """(params, graphs, labels, weights, rate, key) -> (logits, gradients)."""
    model = GraphNetwork(**SMALL | {"num_message_passing_steps": 1})
    workload = workload_of(model)

    @jax.jit
    def step(params, graphs, labels, weights, rate, key):
        def loss(params):
            logits, _ = workload.model_fn(
                params, {"inputs": graphs}, None, TRAIN, key, True, dropout_rate=rate
            )
            loss = workload.loss_fn(labels, logits, weights)
            return loss["summed"], logits

        (_, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return logits, gradients

    return workload, random_params(model), step


def labels_of(rows, count):
    """Labels [row, output] of the graphs, some missing, and their weights."""
    labels, weights = np.zeros((2, count, 5), np.float32)
    of_graph = np.random.default_rng(2).integers(0, 3, size=(len(rows), 5))
    labels[rows], weights[rows] = of_graph == 1, of_graph < 2
    return labels, weights


def test_devices_that_share_the_shards_give_the_same_numbers(training):
    _, params, step = training
    graphs, rows = packed(shards=2)
    batch = (graphs, *labels_of(rows, 12))
    alone = step(params, *batch, 0.3, KEY)
    shared = jax.device_put(batch, get_batch_dim_sharding())
    everywhere = jax.device_put(params, get_replicate_sharding())
    assert len(shared[0].nodes.sharding.device_set) == 2
    together = step(everywhere, *shared, 0.3, KEY)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        alone,
        together,
    )


def test_devices_send_each_other_no_nodes_or_edges(training):
    workload, params, _ = training
    graphs, _ = packed(shards=2)
    forward = jax.jit(
        lambda params, graphs: workload.model_fn(
            params, {"inputs": graphs}, None, EVAL, KEY, False
        )[0],
        out_shardings=get_batch_dim_sharding(),
    )
    everywhere = jax.device_put(params, get_replicate_sharding())
    shared = jax.device_put(graphs, get_batch_dim_sharding())
    program = forward.lower(everywhere, shared).compile().as_text()
    for operation in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert operation not in program


def test_gradients_are_finite_and_reach_every_layer(training):
    _, params, step = training
    graphs, rows = packed(shards=2)
    _, gradients = step(params, graphs, *labels_of(rows, 12), 0.1, KEY)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(leaf)), path
        assert np.abs(leaf).max() > 1e-6, path


def test_a_batch_of_padding_has_no_gradient(training):
    _, params, step = training
    empty = Graphs(*(np.zeros_like(leaf) for leaf in packed(shards=2)[0]))
    labels = np.full((12, 5), np.nan, np.float32)
    logits, gradients = step(params, empty, labels, np.zeros_like(labels), 0.1, KEY)
    assert np.all(np.isfinite(logits))
    for leaf in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(leaf, 0.0)


def test_dropout_takes_a_traced_rate_and_a_key(training):
    workload, params, step = training
    graphs, rows = packed(shards=2)
    batch = (graphs, *labels_of(rows, 12))

    def outputs(rate, key):
        return step(params, *batch, rate, key)[0]

    evaluate = jax.jit(
        lambda params: workload.model_fn(
            params, {"inputs": graphs}, None, EVAL, KEY, False, dropout_rate=0.9
        )[0]
    )
    np.testing.assert_allclose(
        outputs(0.0, KEY), evaluate(params), rtol=1e-5, atol=1e-5
    )
    dropped = outputs(0.5, KEY)
    np.testing.assert_array_equal(outputs(0.5, KEY), dropped)
    for other in (outputs(0.5, OTHER_KEY), outputs(0.4, KEY), outputs(0.0, KEY)):
        assert np.abs(dropped - other).max() > 0.01
    # Nothing is left at rate 1 but the last bias.
    expected = np.broadcast_to(params["Dense_3"]["bias"], (12, 5))
    np.testing.assert_allclose(outputs(1.0, KEY), expected, rtol=1e-6)


def test_layer_norms_add_a_millionth_to_the_variance():
    assert layer_norm_epsilons(GraphNetwork(**SMALL), packed(shards=1)[0]) == {1e-6}


def network_table(hidden=(256,), latent=256, rounds=5):
    """Every path and shape."""
    table, index, width = {}, 0, hidden[-1]
    edges = nodes = latent
    whole = 128

    def add_dense(name, inputs, outputs):
        table[f"{name}/kernel"], table[f"{name}/bias"] = (inputs, outputs), (outputs,)

    add_dense("node_embedding", 9, latent)
    add_dense("edge_embedding", 3, latent)
    for _ in range(rounds):
        for inputs in (
            edges + 2 * nodes + whole,
            nodes + 2 * width + whole,
            width + width + whole,
        ):
            for outputs in hidden:
                add_dense(f"Dense_{index}", inputs, outputs)
                table[f"LayerNorm_{index}/scale"] = (outputs,)
                table[f"LayerNorm_{index}/bias"] = (outputs,)
                index, inputs = index + 1, outputs
        edges = nodes = whole = width
    add_dense(f"Dense_{index}", width, 128)
    return table, f"Dense_{index}"


SMALLER = GraphNetwork(
    hidden_dims=(256, 256), latent_dim=128, num_message_passing_steps=3
)


@pytest.mark.parametrize(
    ("model", "known", "count", "output"),
    [
        (GraphNetwork(), {}, 3_554_176, "Dense_15"),
        (GraphNetwork(activation="gelu"), {}, 3_554_176, "Dense_15"),
        (GraphNetwork(activation="silu"), {}, 3_554_176, "Dense_15"),
        (
            SMALLER,
            {"hidden": (256, 256), "latent": 128, "rounds": 3},
            2_571_648,
            "Dense_18",
        ),
    ],
)
def test_the_tree_is_the_known_one(model, known, count, output):
    ours = plain.shape_table(shapes_of(model))
    table, last = network_table(**known)
    assert ours == table
    assert last == output
    assert sum(math.prod(shape) for shape in ours.values()) == count


def test_parameter_types_follow_the_layers():
    types = workload_of(GraphNetwork()).model_params_types
    assert collections.Counter(jax.tree.leaves(types)) == {
        P.EMBEDDING: 2,
        P.WEIGHT: 16,
        P.BIAS: 18,
        P.LAYER_NORM_SCALE: 15,
        P.LAYER_NORM_BIAS: 15,
    }
    for name in ("node_embedding", "edge_embedding"):
        assert types[name] == {"kernel": P.EMBEDDING, "bias": P.BIAS}


def test_kernels_start_lecun_normal_and_biases_at_0():
    fields = {"num_message_passing_steps": 1, "hidden_dims": (64,), "latent_dim": 64}
    params, state = workload_of(GraphNetwork(**fields)).init_model_fn(KEY)
    assert state is None
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = path[-1].key
        if name != "kernel":
            np.testing.assert_array_equal(leaf, float(name == "scale"))
        else:
            # LeCun normal over all parts together, cut off at two deviations.
            std = 1 / math.sqrt(leaf.shape[0])
            np.testing.assert_allclose(np.std(leaf), std, rtol=0.08)
            assert np.abs(leaf).max() <= 2 * std / 0.8796 * 1.001


def test_an_activation_that_is_not_there_is_named():
    with pytest.raises(UserError) as error:
        shapes_of(GraphNetwork(activation="swish"))
    assert str(error.value) == (
        "GraphNetwork has no activation 'swish'; it must be one of relu, silu, gelu. "
        "Change it in the workload's facts."
    )
