"""Small problems on which tests compare an optimizer with its paper's formulas."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from fakes import compiled_functions
from jax.sharding import Mesh, NamedSharding, PartitionSpec

STEPS = 20

# A rule computed by hand: parameters after every gradient, of one array in float64.
Rule = Callable[[np.ndarray, Sequence[np.ndarray]], Iterable[np.ndarray]]


class Problem(NamedTuple):
    """Parameters, a loss(params, batch) and a batch [examples, ...] per step."""

    params: Any
    loss: Callable
    batches: Sequence[Any]


class Trained(NamedTuple):
    """Parameters before and after every step, the gradients, and the last state."""

    params: list[Any]
    grads: list[Any]
    state: Any
    compiled: list[str]


def _normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


def _quadratic() -> Problem:
    random = np.random.default_rng(5)
    params = {
        "matrix": _normal(random, 4, 3),
        "nested": {"vector": _normal(random, 5), "scalar": _normal(random)},
        "empty": np.zeros((0, 3), np.float32),
    }
    scales = jax.tree.map(lambda p: _normal(random, *p.shape) ** 2 + 0.1, params)
    batches = [
        jax.tree.map(lambda p: _normal(random, 2, *p.shape), params)
        for _ in range(STEPS)
    ]

    def loss(params, batch):
        parts = jax.tree.map(
            lambda p, s, target: jnp.sum(s * (p - target.mean(axis=0)) ** 2),
            params,
            scales,
            batch,
        )
        return 0.5 * sum(jax.tree.leaves(parts))

    return Problem(params, loss, batches)


def _net() -> Problem:
    random = np.random.default_rng(6)
    params = {
        "conv": {"kernel": _normal(random, 3, 3, 2, 4), "bias": _normal(random, 4)},
        "dense": {"kernel": _normal(random, 4, 3), "bias": _normal(random, 3)},
        "scale": np.float32(0.7),
    }
    batches = [
        (_normal(random, 8, 5, 5, 2), _normal(random, 8, 3)) for _ in range(STEPS)
    ]

    def loss(params, batch):
        x, targets = batch
        x = jax.lax.conv_general_dilated(
            x,
            params["conv"]["kernel"],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = jnp.tanh(x + params["conv"]["bias"].reshape(1, 1, 1, -1)).mean(axis=(1, 2))
        logits = x @ params["dense"]["kernel"] + params["dense"]["bias"][None]
        # Not a softmax: the rows of its gradient sum to 0, and where an optimizer
        # divides by the size of a direction only rounding errors would be left.
        outputs = jnp.sin(params["scale"] * logits)
        return jnp.sum((outputs - targets) ** 2, axis=1).mean()

    return Problem(params, loss, batches)


QUADRATIC, NET = _quadratic(), _net()
PROBLEMS = {"quadratic": QUADRATIC, "net": NET}


def train(optimizer: Any, problem: Problem, devices: int = 1) -> Trained:
    """Trains with replicated parameters and a batch divided among the devices."""
    mesh = Mesh(jax.devices()[:devices], ("batch",))
    replicated = NamedSharding(mesh, PartitionSpec())
    divided = NamedSharding(mesh, PartitionSpec("batch"))

    @jax.jit
    def train_step(params, state, batch):
        grads = jax.grad(problem.loss)(params, batch)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, grads

    params = jax.device_put(problem.params, replicated)
    state = jax.device_put(optimizer.init(params), replicated)
    history, gradients = [params], []
    with compiled_functions() as names:
        for batch in problem.batches:
            batch = jax.device_put(batch, divided)
            params, state, grads = train_step(params, state, batch)
            history.append(params)
            gradients.append(grads)
    return Trained(history, gradients, state, names)


def assert_follows(trained: Trained, rule: Rule, rtol=1e-4, atol=1e-6) -> None:
    """The parameters after every step are those that a rule makes of the gradients."""
    for path, before in jax.tree_util.tree_leaves_with_path(trained.params[0]):
        name = jax.tree_util.keystr(path)
        grads = [np.asarray(_at(tree, path), np.float64) for tree in trained.grads]
        expected = list(rule(np.asarray(before, np.float64), grads))
        assert len(expected) == len(grads)
        for step, value in enumerate(expected):
            np.testing.assert_allclose(
                _at(trained.params[step + 1], path),
                value,
                rtol=rtol,
                atol=atol,
                err_msg=f"{name}, step {step}",
            )


def assert_compiled_once_and_equal_on_two_devices(make: Callable[[], Any]) -> None:
    """One compilation for all steps; two devices compute what one does."""
    one, two = train(make(), QUADRATIC), train(make(), QUADRATIC, devices=2)
    for trained in (one, two):
        assert sum("train_step" in name for name in trained.compiled) == 1
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        one.params[-1],
        two.params[-1],
    )


def inverse_root(matrix, p, ridge):
    """(matrix + ridge x largest eigenvalue)^(-1/p), by eigendecomposition."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, 0) + ridge * values[-1]
    return vectors @ np.diag(values ** (-1 / p)) @ vectors.T


def _at(tree: Any, path: Any) -> Any:
    for key in path:
        tree = tree[key.key]
    return tree
