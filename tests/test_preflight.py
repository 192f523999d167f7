"""What a trial needs, found out before it starts: memory, seconds, evaluations."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from fakes import made_up_facts

from algoperf.compiled_step import compile_trial, donated_arguments, tree_bytes
from algoperf.limits import Limits
from algoperf.preflight import (
    Preflight,
    checkpoint_disk_bytes,
    compiled_preflight,
    course,
    eval_batches,
    evaluation_size,
    measure,
)
from algoperf.progress import Progress
from algoperf.submission import load_submission
from algoperf.submission_check import Caller
from workloads.loading import load

SUBMISSIONS = Path(__file__).parents[1] / "submissions"


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def nadamw():
    return load_submission(SUBMISSIONS / "self_tuning" / "nadamw")


@pytest.fixture(scope="module")
def programs(digits, nadamw):
    return compile_trial(Caller(digits, nadamw, None), eval_batch_size=64)


def test_the_state_is_counted_and_donated_as_the_submission_does(digits, programs):
    # Two moments of every parameter, float32; what is left are a few counters.
    params_bytes = 4 * digits.num_params
    assert 0 <= programs.state_bytes - 3 * params_bytes < 64
    assert programs.optimizer_bytes == programs.state_bytes - params_bytes
    # The step is given all of it, and returns it in the same memory.
    assert abs(programs.step.alias_bytes - programs.state_bytes) < 64
    assert programs.step.argument_bytes >= programs.state_bytes
    # 64 pictures of 8 x 8 numbers, labels and weights over two devices.
    assert programs.batch_bytes >= 64 * 8 * 8 // jax.device_count()


def test_operations_are_those_of_the_multiplications(digits, programs):
    """A dense network takes 2 operations a weight and example forward, 6 in training
    (but for the gradient of the inputs), on each of the devices."""
    weights = sum(
        leaf.shape_tuple[0] * leaf.shape_tuple[1]
        for leaf in jax.tree.leaves(digits.param_shapes)
        if len(leaf.shape_tuple) == 2
    )
    examples = programs.batch_size / jax.device_count()
    assert 4 * weights * examples < programs.step.flop < 8 * weights * examples


def test_arguments_that_an_inner_function_donates():
    inner = jax.jit(lambda a, b, c: (a + 1, b + c), donate_argnums=(0, 2))

    def outer(a, b, c):
        b, c = jnp.sin(b), inner(a, b, c)
        return b, c

    x = jnp.ones(3)
    # b is made within: nothing of the caller's is given away with it.
    assert donated_arguments(jax.make_jaxpr(outer)(x, x, x).jaxpr) == {0, 2}
    assert donated_arguments(jax.make_jaxpr(jnp.sin)(x).jaxpr) == set()


def test_a_measured_step_agrees_with_the_compiled_one(digits, nadamw, programs):
    measured = measure(digits, nadamw, None, 64, steps=2, budget_s=60)
    assert measured.batch_size == programs.batch_size
    assert measured.state_bytes == programs.state_bytes
    assert measured.steps == 2
    assert 0 < measured.step_s < measured.compile_s < 60


def test_time_that_is_up_ends_measuring_after_one_warm_step(digits, nadamw):
    measured = measure(digits, nadamw, None, 64, steps=1000, budget_s=0)
    assert measured.steps == 1


def submission(tmp_path: Path, update: str, size: int = 64):
    (tmp_path / "submission.py").write_text(
        f"""
import jax
import jax.numpy as jnp
import numpy

def get_batch_size(workload_name):
    return {size}

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return None

def update_params(*, current_param_container, model_state, optimizer_state, **rest):
    params = current_param_container
    {update}
    return optimizer_state, params, model_state
"""
    )
    return load_submission(tmp_path)


@pytest.mark.parametrize(
    "update",
    [
        "if jax.tree.leaves(params)[0].sum() > 1e9: params = None",
        "scale = float(jax.tree.leaves(params)[0].sum())",
        "numpy.asarray(jax.tree.leaves(params)[0])",
    ],
)
def test_a_step_that_needs_values_is_said_to_and_can_be_measured(
    digits, tmp_path, update
):
    own = submission(tmp_path, update)
    found = compiled_preflight(digits, own, None, 64)
    assert found.programs is None
    assert "Error: " in found.untraceable
    assert measure(digits, own, None, 64, steps=1, budget_s=60).step_s > 0


def test_a_step_may_log_without_asking_for_a_logger(tmp_path):
    log = "rest['workload'].metrics_logger.append_scalar_metrics({'a': params}, 1)"
    own, digits = submission(tmp_path, log), load("digits")
    assert compiled_preflight(digits, own, None, 64).programs is not None
    assert measure(digits, own, None, 64, steps=1, budget_s=60).steps == 1


def test_what_fails_in_a_trial_fails_here(digits, tmp_path):
    own = submission(tmp_path, "params = jax.tree.map(lambda p: p[:1], params)")
    with pytest.raises(ValueError, match="may not change the model"):
        compiled_preflight(digits, own, None, 64)
    own = submission(tmp_path, "pass", size=63)
    with pytest.raises(Exception, match="63 on digits does not divide over 2 devices"):
        compiled_preflight(digits, own, None, 64)


def simulated_evaluations(steps: int, limits: Limits, step_s: float) -> int:
    """Evaluations of a trial as the loop decides on them, step by step."""
    progress, count = Progress(), 0
    while progress.outcome is None:
        progress = replace(progress, step=progress.step + 1)
        spent_s = progress.step * step_s
        progress = limits.applied(progress, spent_s)
        if progress.step == steps:
            progress = progress.ended("out of steps")
        if limits.evaluation_due(progress, spent_s):
            count += 1
            results = (*progress.eval_results, (progress.step, {}))
            progress = replace(
                progress, eval_results=results, last_eval_submission_s=spent_s
            )
    return count


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 40])
@pytest.mark.parametrize(
    "limits",
    [
        Limits(1e9, eval_every_steps=1),
        Limits(1e9, eval_every_steps=10),
        Limits(1e9, eval_every_steps=100),
        Limits(1e9, max_steps=20, eval_every_steps=3),
        Limits(1e9, eval_every_steps=3, skip_evals=True),
        Limits(10.1, eval_every_steps=3),
    ],
)
def test_evaluations_are_as_many_as_the_loop_makes(steps, limits):
    found = course(steps, limits, step_s=0.5, compile_s=0, one_eval_s=2)
    # A budget ends the trial at the first step beyond it.
    assert abs(found.evaluations - simulated_evaluations(steps, limits, 0.5)) <= (
        1 if limits.max_runtime_s < 1e9 else 0
    )
    assert found.eval_s == 2 * found.evaluations


def test_evaluations_by_time_come_once_a_period():
    limits = Limits(max_runtime_s=3600.0, eval_period_s=600.0)
    found = course(100_000, limits, step_s=1.0, compile_s=100.0, one_eval_s=60.0)
    assert found.steps == 3500  # 3,500 s are left after compiling
    assert found.charged_s == 3600.0
    assert abs(found.evaluations - simulated_evaluations(3600, limits, 1.0)) <= 1
    assert found.total_s == 3600.0 + 60.0 * found.evaluations
    assert found.eval_share == pytest.approx(60 * found.evaluations / found.total_s)


def test_evaluation_batches_are_rounded_up_as_evaluations_do(nadamw):
    facts = made_up_facts(eval_batch_size=7)
    assert evaluation_size(nadamw, facts) == 8  # on two devices
    assert evaluation_size(nadamw, facts, asked=10) == 10


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_longer_than_the_period_are_evaluated_one_by_one(steps):
    limits = Limits(max_runtime_s=1e9, eval_period_s=10.0)
    found = course(steps, limits, step_s=25.0, compile_s=0.0, one_eval_s=1.0)
    assert found.evaluations == simulated_evaluations(steps, limits, 25.0) == steps


def test_batches_of_an_evaluation_are_padded_passes_over_each_split():
    examples = {"train": 99, "eval_train": 10, "validation": 11, "test": 1}
    assert eval_batches(made_up_facts(examples=examples), eval_size=5) == 2 + 3 + 1


@pytest.mark.parametrize(
    ("kept", "checkpoints", "trials", "states"),
    [(2, 30, 1, 3), (2, 30, 5, 11), (None, 30, 1, 31), (2, 1, 1, 2), (0, 30, 5, 0)],
)
def test_disk_is_that_of_kept_checkpoints_and_one_being_written(
    kept, checkpoints, trials, states
):
    assert checkpoint_disk_bytes(7, kept, checkpoints, trials) == 7 * states


def test_nothing_is_made_up_where_nothing_is_known():
    nothing = Preflight(64, None)
    assert nothing.step_s(1e9) is None
    assert nothing.eval_batch_s(1e9) is None
    assert nothing.peak_bytes is None
    assert nothing.compile_s is None


def test_bytes_of_a_tree_leave_out_what_is_no_array():
    tree = {"a": jnp.zeros((3, 4)), "b": jnp.zeros((), jnp.int8), "c": 5, "d": sum}
    assert tree_bytes(tree) == 3 * 4 * 4 + 1
