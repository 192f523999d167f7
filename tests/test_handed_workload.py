"""What a submission gets of a workload: all but the data, in a copy of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.clock import Clock
from algoperf.handed_workload import handed_to_submission
from algoperf.spec import ForwardPassMode


@pytest.fixture(scope="module")
def handed(digits):
    return handed_to_submission(digits)


def test_the_model_and_its_params_are_the_same(digits, handed):
    rng = jax.random.PRNGKey(0)
    batch = {"inputs": jnp.ones((2, 8, 8, 1))}
    outputs = []
    for workload in (digits, handed):
        params, state = workload.init_model_fn(rng)
        args = (params, batch, state, ForwardPassMode.EVAL, rng, False)
        outputs.append(np.asarray(workload.model_fn(*args)[0]))
    np.testing.assert_array_equal(*outputs)
    assert handed.param_shapes == digits.param_shapes
    assert handed.step_hint == digits.step_hint
    assert hash(handed) != hash(digits)


@pytest.mark.parametrize("split", ["train", "eval_train", "validation", "test"])
def test_it_has_no_batches_of_any_split(handed, split):
    with pytest.raises(RuntimeError, match=rf"may not read the {split} split"):
        handed.batches(split, 64)


def test_it_cannot_evaluate(handed):
    params, state = handed.init_model_fn(jax.random.PRNGKey(0))
    with pytest.raises(RuntimeError, match=r"what was measured.*`eval_results`"):
        handed.eval_model(64, params, state, jax.random.PRNGKey(0))


def test_what_is_changed_in_it_is_not_what_is_evaluated(digits):
    own = handed_to_submission(digits)
    target = digits.facts.validation_target
    object.__setattr__(own.facts, "validation_target", 0.0)
    object.__setattr__(own, "loss", None)
    own.attach_metrics_logger("mine")
    assert digits.facts.validation_target == target
    assert digits.loss is not None
    assert digits.metrics_logger is None


def test_the_input_queue_leads_nowhere_else(digits):
    batches = digits.batches("train", 64)
    queue = Clock().timed(batches)
    assert set(next(queue)) == {"inputs", "targets"}
    assert all(value is not batches for value in vars(queue).values())


def test_the_input_queue_is_closed_while_the_clock_stands():
    clock = Clock()
    queue = clock.timed(iter(range(3)))
    with clock.running():
        assert next(queue) == 0
        with (
            clock.paused(wait_for=None),
            pytest.raises(RuntimeError, match=r"no batches during evaluations"),
        ):
            next(queue)
        assert next(queue) == 1
