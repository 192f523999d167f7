"""What --log_dynamics measures, against NumPy on digits, and its flag."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.cli.main import main
from algoperf.dynamics import Dynamics
from algoperf.metrics_logger import MetricsLogger
from algoperf.spec import ForwardPassMode
from workloads.loading import load

BATCH = 32


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def rms(tree) -> float:
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
    return float(np.sqrt(np.mean(flat.astype(np.float64) ** 2)))


def test_it_measures_what_it_says(digits):
    first, state = digits.init_model_fn(jax.random.PRNGKey(0))
    second = jax.tree.map(lambda leaf: 1.5 * leaf + 0.1, first)
    dynamics = Dynamics(digits, first, 7, BATCH)
    found = dynamics.measure(second, state, 10)
    batch = next(digits.batches("eval_train", BATCH))

    def mean_loss(params):
        logits, _ = digits.model_fn(
            params, batch, state, ForwardPassMode.EVAL, jax.random.PRNGKey(0), False
        )
        loss = digits.loss_fn(batch["targets"], logits, batch["weights"])
        return loss["summed"] / BATCH, logits

    grads, logits = jax.grad(mean_loss, has_aux=True)(second)
    log_z = np.log(np.exp(np.asarray(logits, np.float64)).sum(axis=-1))
    wanted = {
        "param_rms": rms(second),
        "update_rms": rms(jax.tree.map(jnp.subtract, second, first)),
        "gradient_rms": rms(grads),
        "log_partition": log_z.mean(),
        "log_partition_rms": np.sqrt(np.mean(log_z**2)),
        "update_steps": 3,
    }
    assert found.keys() == wanted.keys()  # digits has no attention
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
    assert dynamics.measure(second, state, 12)["update_rms"] == 0


def test_params_that_a_step_donates_are_kept(digits):
    params, state = digits.init_model_fn(jax.random.PRNGKey(0))
    dynamics = Dynamics(digits, params, 0, BATCH)
    moved = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)(
        params
    )
    logger = MetricsLogger()
    dynamics.log(moved, state, 4, logger)
    (row,) = logger.taken()
    np.testing.assert_allclose(row["dynamics/update_rms"], 1.0, rtol=1e-6)
    assert row["dynamics/update_steps"] == 4


def test_padding_does_not_count(digits):
    params, state = digits.init_model_fn(jax.random.PRNGKey(0))
    whole = digits.facts.examples["eval_train"]
    exact = Dynamics(digits, params, 0, whole).measure(params, state, 1)
    padded = Dynamics(digits, params, 0, whole + 30).measure(params, state, 1)
    for name in exact:
        np.testing.assert_allclose(exact[name], padded[name], rtol=1e-5, err_msg=name)


def test_without_evaluations_there_is_nothing_to_log(capsys):
    line = ["run", "--workload=digits", "--submission_path=nadamw"]
    assert main([*line, "--log_dynamics", "--skip_evals"]) == 2
    assert "--log_dynamics with --skip_evals: it measures" in capsys.readouterr().err
