"""Bad input by submission function, what test_bad_submissions.py does not cover."""

from pathlib import Path

import pytest
from contract_workload import contract_workload
from fakes import PLAIN_SUBMISSION, Quiet

from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions

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
    assert message.endswith(f"(at submission.py:{LINES + 1})")
    assert record["error"].startswith("Traceback")


RETURNED = """def update_params(*, current_param_container, model_state, **rest):
    params, state, kept = current_param_container, model_state, rest["optimizer_state"]
    return {}

"""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("kept, params", "update_params returned 2 values; it has to return 3"),
        ("None", "update_params returned NoneType; it has to return 3 values"),
        ("kept, {}, state", "update_params did not return parameter"),
        ("kept, [params], state", "update_params returned a parameter 0/"),
        (
            "kept, params, None",
            "update_params did not return model state batch_stats/",
        ),
        ("kept, params, 'no'", "returned a model state (no shape: a str), which"),
        (
            "kept, params, jax.tree.map(lambda x: x[None], state)",
            "update_params returned model state batch_stats/",
        ),
        (
            "kept, params, jax.tree.map(lambda x: x.astype(jnp.bfloat16), state)",
            "bfloat16; the workload's has shape",
        ),
    ],
)
def test_what_is_no_state_of_the_model_is_named_with_its_function(
    train, values, message
):
    record, said = train(RETURNED.format(values))
    assert record["outcome"] == "failed"
    assert message in said
    assert said.endswith(f"(at submission.py:{LINES + 1})")


def test_what_prepare_for_eval_returns_is_its_own_affair(train):
    prepare = RETURNED.replace("update_params", "prepare_for_eval")
    record, said = train(prepare.format("kept, {}, state"))
    assert record["outcome"] == "failed"
    assert "prepare_for_eval did not return parameter" in said
    assert said.endswith(f"(at submission.py:{LINES + 1})")


def test_a_batch_that_the_devices_cannot_share_is_named(train):
    selection = """from algoperf import jax_sharding_utils as sharding
def data_selection(workload, queue, *rest):
    return jax.tree.map(lambda x: x[:15], next(queue))
"""
    place = "batch = jax.device_put(batch, sharding.get_batch_dim_sharding())"
    record, said = train(selection + UPDATE.format(place))
    assert record["outcome"] == "failed"
    assert "is 15 (full shape: (15, 4)" in said
    assert said.endswith(f"(at submission.py:{LINES + 9})")


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
