"""Habits of existing submissions that a harness must not punish."""

from pathlib import Path

import pytest

from algoperf.cli.main import main
from algoperf.records import read_json

TRIAL = Path("experiments/mine/study_0/digits_jax/trial_1")
# Logs a learning rate that is part of its state, and donates that state each step.
LOGS_WHAT_IT_DONATES = """
import functools
import jax
import jax.numpy as jnp
from algoperf import jax_sharding_utils

def get_batch_size(workload_name):
    raise ValueError(workload_name)

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return {"rate": jnp.float32(0.5)}, None

@functools.partial(jax.jit, donate_argnums=(0, 1))
def step(state, params):
    result = {"rate": state["rate"] * 0.5}, jax.tree.map(lambda p: p * 0.9, params)
    return jax.lax.with_sharding_constraint(
        result, jax_sharding_utils.get_replicate_sharding()
    )

def update_params(
    workload, current_param_container, current_params_types, model_state,
    hyperparameters, batch, loss_type, optimizer_state, eval_results, global_step, rng,
):
    state, _ = optimizer_state
    workload.metrics_logger.append_scalar_metrics(state, global_step)
    eval_results.append("mine")  # whatever it does with them
    state, params = step(state, current_param_container)
    return (state, None), params, model_state
"""
DONE_AT_ONCE = """
from algoperf.spec import TrainingCompleteError

def get_batch_size(workload_name):
    return 64

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return None

def update_params(**rest):
    raise TrainingCompleteError
"""
DONE_TOO_LATE = LOGS_WHAT_IT_DONATES.replace(
    "    return (state, None), params, model_state",
    "    from algoperf.spec import TrainingCompleteError\n"
    "    raise TrainingCompleteError",
)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains the given source on digits; returns exit code and trial.json."""
    monkeypatch.chdir(tmp_path)

    def run(source: str, *flags: str):
        Path("mine").mkdir(exist_ok=True)
        Path("mine/submission.py").write_text(source)
        line = ["run", "--workload=digits", "--submission_path=mine", "--rng_seed=1"]
        code = main([*line, "--max_global_steps=6", "--eval_every_steps=3", *flags])
        return code, read_json(TRIAL / "trial.json")

    return run


def test_a_logged_array_may_be_donated_later(train):
    code, record = train(LOGS_WHAT_IT_DONATES)
    assert code == 0, record["error"]
    lines = (TRIAL / "measurements.csv").read_text().splitlines()
    logged = [line.split(",")[:2] for line in lines[1:]]
    rates = [float(rate) for _, rate in logged if rate]
    assert rates == [0.5**n for n in range(1, 7)]


def test_nothing_is_charged_to_a_submission_that_does_nothing(train):
    code, record = train(DONE_AT_ONCE)
    assert code == 0
    assert record["outcome"] == "stopped by submission"
    assert record["seconds"]["compile"] == 0.0
    assert record["seconds"]["submission"] < 0.1


def test_params_that_were_donated_before_the_end_are_named(train, capsys):
    code, record = train(DONE_TOO_LATE)
    assert code == 2
    assert record["outcome"] == "failed"
    assert "raise TrainingCompleteError before that call" in capsys.readouterr().out


def test_an_evaluation_batch_size_of_its_own_changes_no_number(train):
    _, record = train(LOGS_WHAT_IT_DONATES)
    own = LOGS_WHAT_IT_DONATES + "\ndef get_eval_batch_size(name): return 128\n"
    _, again = train(own, "--experiment_name=mine", "--overwrite")
    assert again["best"] == record["best"]


def test_one_trial_is_overwritten_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["run", "--workload=digits", "--submission_path=adamw"]
    line += ["--num_tuning_trials=2", "--max_global_steps=4", "--eval_every_steps=2"]
    assert main(line) == 0
    study = Path("experiments/adamw/study_0")
    plan = (study / "digits_jax.json").read_bytes()
    first = (study / "digits_jax/trial_1/trial.json").read_bytes()
    second = (study / "digits_jax/trial_2/trial.json").read_bytes()
    only_second = ["--overwrite", "--hparam_start_index=1", "--hparam_end_index=2"]
    assert main([*line, *only_second]) == 0
    assert (study / "digits_jax/trial_1/trial.json").read_bytes() == first
    assert (study / "digits_jax/trial_2/trial.json").read_bytes() != second
    assert (study / "digits_jax.json").read_bytes() == plan
    assert main(line) == 0


def test_all_studies_are_refused_before_any_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["run", "--workload=digits", "--submission_path=nadamw"]
    line += ["--max_global_steps=4", "--eval_every_steps=2"]
    assert main([*line, "--study_index=1", "--rng_seed=1"]) == 0
    assert main([*line, "--num_studies=2", "--rng_seed=2"]) == 2
    assert "--rng_seed=1" in capsys.readouterr().err
    assert not Path("experiments/nadamw/study_0/digits_jax/trial_1").exists()
