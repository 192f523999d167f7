"""What a submission logs is kept on the device until the clock stands."""

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.metrics_logger import MetricsLogger


@jax.jit
def after_a_while(x: jax.Array) -> jax.Array:
    """x, some hundred milliseconds later."""
    matrix = jnp.full((300, 300), 1e-9)
    turned = jax.lax.fori_loop(0, 400, lambda _, m: m @ matrix, matrix)
    return x + turned[0, 0]


def test_logging_does_not_wait_for_the_device():
    after_a_while(jnp.float32(0.0)).block_until_ready()  # compiles
    logger = MetricsLogger()
    value = after_a_while(jnp.float32(3.0))
    logger.append_scalar_metrics({"loss": value}, 7)
    assert not value.is_ready()
    assert logger.taken() == [{"global_step": 7, "loss": 3.0}]
    assert value.is_ready()


def test_what_is_logged_outlives_a_donation():
    logger = MetricsLogger()
    value = jnp.float32(5.0)
    logger.append_scalar_metrics({"loss": value}, 1)
    jax.jit(lambda x: x + 1, donate_argnums=0)(value)
    assert value.is_deleted()
    assert logger.taken() == [{"global_step": 1, "loss": 5.0}]
    assert logger.taken() == []


def test_names_keep_their_order_and_numbers_their_type():
    logger = MetricsLogger()
    logger.append_scalar_metrics(
        {"z": 1, "a": np.float32(0.5), "one": jnp.ones((1,))}, 2, 3, is_eval=True
    )
    (row,) = logger.taken()
    assert list(row) == ["global_step", "z", "a", "one", "preemption_count"]
    assert [type(value) for value in row.values()] == [int, int, float, float, int]
