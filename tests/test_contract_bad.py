"""Bad input by submission function, what test_bad_submissions.py does not cover."""

from pathlib import Path

import pytest
from contract_workload import contract_workload
from fakes import PLAIN_SUBMISSION, Quiet

from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import RunOptions, TrialRun

PLAIN = "import jax\nimport jax.numpy as jnp\n" + PLAIN_SUBMISSION.replace("64", "16")
LINES = PLAIN.count("\n")
UPDATE = """def update_params(
    *, current_param_container, model_state, optimizer_state, batch, workload, rng,
    **rest,
):
    params, state = current_param_container, model_state
    {}
    workload.model_fn(params, batch, state, 0, rng, True)
    return optimizer_state, params, state
"""
ON_ONE = "jax.device_put({0}, jax.devices()[1])"
NAN = "{0} = jax.tree.map(lambda x: x * jnp.nan, {0})"
ARGUMENTS = (
    "workload, current_param_container, current_params_types, model_state, "
    "hyperparameters, loss_type, optimizer_state, eval_results, global_step, rng"
)


@pytest.fixture
def train(tmp_path):
    """Trains a plain submission with `more` at its end: (trial.json, message)."""

    def run(more: str):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "submission.py").write_text(PLAIN + more)
        plan = TrialPlan(0, 1, 3, None, tmp_path / "trial_1")
        limits = Limits(max_runtime_s=600.0, max_steps=2, eval_every_steps=2)
        options = RunOptions("self", limits, save_checkpoints=False)
        observer = Quiet()
        path = Path(tmp_path / "mine")
        trial = TrialRun(plan, contract_workload(), path, options, observer)
        record = trial.run(StopRequest())
        return record, "\n".join(observer.messages)

    return run


@pytest.mark.parametrize(
    ("signature", "parts"),
    [
        (
            f"update_params({ARGUMENTS}, batch, lucky_number)",
            ("update_params()", "'lucky_number'"),
        ),
        (
            "update_params(workload, batch, train_state)",
            ("update_params()", "'current_param_container'"),
        ),
        (
            "init_optimizer_state(workload, params, state, hyperparameters, rng, more)",
            ("init_optimizer_state()", "'more'"),
        ),
        (
            "init_optimizer_state(workload, params)",
            ("init_optimizer_state()", "2 positional", "5 were given"),
        ),
        ("data_selection(workload, queue)", ("data_selection()", "8 were given")),
        (f"prepare_for_eval({ARGUMENTS}, batch)", ("prepare_for_eval()", "'batch'")),
        (
            "prepare_for_eval(workload, current_param_container)",
            ("prepare_for_eval()", "'current_params_types'"),
        ),
        ("get_batch_size(name, devices)", ("get_batch_size()", "'devices'")),
    ],
)
def test_a_wrong_signature_is_named_with_its_argument(train, signature, parts):
    record, message = train(f"def {signature}: raise AssertionError\n")
    assert record["outcome"] == "failed"
    assert "failed: TypeError: " in message
    for part in parts:
        assert part in message
    assert record["error"].startswith("Traceback")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (UPDATE.format("params = " + ON_ONE.format("params")), LINES + 7),
        (
            UPDATE.format("batch = " + ON_ONE.format("batch")),
            LINES + 7,
        ),
    ],
    ids=["params", "batch"],
)
def test_arrays_committed_to_one_of_several_devices_are_named(train, more, line):
    record, message = train(more)
    assert record["outcome"] == "failed"
    assert "incompatible devices" in message
    assert message.endswith(f"(at submission.py:{line})")


@pytest.mark.parametrize("name", ["params", "state"])
def test_nan_in_what_is_evaluated_is_a_divergence(train, name):
    record, _ = train(UPDATE.format(NAN.format(name)))
    assert record["outcome"] == "diverged"
    assert record["steps"] == 1
    assert record["error"] is None


def test_an_exception_in_get_eval_batch_size_is_located(train):
    record, message = train("def get_eval_batch_size(name): raise RuntimeError('size')")
    assert record["outcome"] == "failed"
    assert message == f"failed: RuntimeError: size (at submission.py:{LINES + 1})"


def test_what_data_selection_forgets_to_return_is_located_where_it_is_used(train):
    record, message = train("def data_selection(*a): pass\n" + UPDATE.format("pass"))
    assert record["outcome"] == "failed"
    assert "'NoneType' object has no attribute 'get'" in message
    assert message.endswith(f"(at submission.py:{LINES + 8})")


@pytest.mark.parametrize("dtype", ["bfloat16", "int32"])
def test_params_of_another_type_are_refused(train, dtype):
    line = f"params = jax.tree.map(lambda x: x.astype(jnp.{dtype}), params)"
    # Without the model: what a submission does with its params is its own affair.
    source = UPDATE.format(line).replace(
        "    workload.model_fn(params, batch, state, 0, rng, True)\n", ""
    )
    record, message = train(source)
    assert record["outcome"] == "failed"
    assert "update_params returned parameter attention/" in message
    assert f"{dtype}; the workload's has shape" in message


def test_params_that_were_given_away_are_named(train):
    line = "jax.jit(lambda x: x, donate_argnums=0)(params)"
    source = UPDATE.format(line).replace(
        "    workload.model_fn(params, batch, state, 0, rng, True)\n", ""
    )
    record, message = train(source)
    assert record["outcome"] == "failed"
    assert "were donated to a jitted function and are gone" in message


@pytest.mark.parametrize(
    "name", ["data_selection", "prepare_for_eval", "get_eval_batch_size"]
)
def test_an_optional_function_that_is_none_is_refused_at_once(train, name):
    with pytest.raises(UserError, match=f"`{name}` of .* is a int; it has to be a fun"):
        train(f"{name} = 3\n")
