"""Submissions that try to gain by other means than training, each in a plain run."""

import json
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import pytest
from fakes import PLAIN_SUBMISSION

from algoperf.cli.main import main
from algoperf.watch import REPLACED, THREAD, WORKLOAD
from workloads.catalog import CATALOG
from workloads.loading import load

TRIAL = Path("experiments/mine/study_0/digits_jax/trial_1/trial.json")
STEP = """
def update_params(
    *, workload, current_param_container, model_state, optimizer_state, **rest
):
    attack(workload, rest)
    return optimizer_state, current_param_container, model_state
"""


@pytest.fixture
def attacked(tmp_path, monkeypatch, capsys):
    """Trains four steps with the attack, and gives what trial.json says."""
    monkeypatch.chdir(tmp_path)

    def run(attack: str, *flags: str):
        Path("mine").mkdir()
        Path("mine/submission.py").write_text(PLAIN_SUBMISSION + STEP + attack)
        main(
            [
                "run",
                "--workload=digits",
                "--submission_path=mine",
                "--probe=off",
                "--nosave_checkpoints",
                "--max_global_steps=4",
                "--eval_every_steps=2",
                *flags,
            ]
        )
        record = json.loads(TRIAL.read_text())
        screen = capsys.readouterr().out
        for finding in record["findings"]:
            said = f"noted in trial.json: {finding['what']} ({finding['detail']})"
            assert screen.count(said) == 1
        return record

    return run


def named(record, what):
    return {f["detail"] for f in record["findings"] if f["what"] == what}


def test_honest_training_has_no_findings(attacked):
    record = attacked("def attack(workload, rest): pass")
    assert record["outcome"] == "out of steps"
    assert record["findings"] == []


def test_a_clock_that_stands_still_changes_no_seconds(attacked, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", time.perf_counter)  # put back afterwards
    record = attacked(
        """
import time
time.perf_counter = lambda: 0.0
def attack(workload, rest): time.sleep(0.2)
"""
    )
    assert record["seconds"]["submission"] > 4 * 0.2
    assert named(record, REPLACED) == {"time.perf_counter"}


def test_work_that_is_still_queued_is_charged(attacked):
    record = attacked(
        """
import jax, jax.numpy as jnp, time
queued = []
slow = jax.jit(lambda x: jax.lax.fori_loop(0, 150, lambda i, y: jnp.tanh(y @ x), x))
x = jnp.ones((512, 512))
slow(x).block_until_ready()
start = time.perf_counter()
slow(x).block_until_ready()
alone_s = time.perf_counter() - start
def attack(workload, rest):
    if rest["global_step"] == 3:
        queued.append(slow(x))
"""
    )
    steps = record["seconds"]["submission"] - record["seconds"]["compile"]
    alone_s = sys.modules["algoperf_submission.submission"].alone_s
    assert steps > 0.6 * alone_s > 0.05


def test_a_thread_that_trains_during_evaluations_is_named(attacked):
    record = attacked(
        """
import threading
stop = threading.Event()
def train():
    while not stop.wait(0.001):
        sum(range(1000))
def attack(workload, rest):
    if rest["global_step"] == 0:
        threading.Thread(target=train, name="trainer", daemon=True).start()
"""
    )
    sys.modules["algoperf_submission.submission"].stop.set()
    assert named(record, THREAD) == {"trainer"}


@pytest.mark.parametrize(
    "attack",
    [
        "next(workload.batches('validation', 64))['targets']",
        "workload.data.batches('test', 64, 0)",
        "workload.eval_model(64, {}, None, rest['rng'])",
    ],
)
def test_validation_labels_are_out_of_reach(attacked, attack):
    record = attacked(f"def attack(workload, rest): {attack}")
    assert record["outcome"] == "failed"
    assert "a submission may not read the" in record["error"]


def test_a_changed_copy_of_the_workload_has_no_effect_and_is_named(attacked):
    record = attacked(
        """
def attack(workload, rest):
    object.__setattr__(workload.facts, "validation_target", 0.0)
    object.__setattr__(workload.facts, "metric", "loss")
    object.__setattr__(workload, "metrics", None)
"""
    )
    assert record["outcome"] == "out of steps"
    assert record["reached"] is None
    assert named(record, WORKLOAD) == {
        "facts.validation_target",
        "facts.metric",
        "metrics",
    }


def test_a_changed_target_in_the_catalog_is_named(attacked):
    facts = CATALOG["digits"]
    target = facts.validation_target
    try:
        record = attacked(
            """
from workloads.catalog import CATALOG
def attack(workload, rest):
    object.__setattr__(CATALOG["digits"], "validation_target", 0.0)
"""
        )
    finally:
        object.__setattr__(facts, "validation_target", target)
    assert "facts.validation_target" in named(record, WORKLOAD)


def test_a_replaced_function_of_jax_is_named(attacked, monkeypatch):
    monkeypatch.setattr(jnp, "argmax", jnp.argmax)
    record = attacked(
        """
import jax.numpy as jnp
def attack(workload, rest): jnp.argmax = lambda x, axis=None: x.sum(axis)
"""
    )
    assert named(record, REPLACED) == {"jax.numpy.argmax"}


def test_ending_early_skips_no_cost(attacked):
    record = attacked(
        """
import time
from algoperf.spec import TrainingCompleteError
def attack(workload, rest):
    time.sleep(0.3)
    raise TrainingCompleteError
def prepare_for_eval(
    *, optimizer_state, current_param_container, model_state, **unused
):
    time.sleep(0.2)
    return optimizer_state, current_param_container, model_state
"""
    )
    assert record["outcome"] == "stopped by submission"
    assert (record["steps"], record["reached"]) == (0, None)
    assert record["seconds"]["submission"] >= 0.5


def test_the_input_iterator_has_training_images_alone(attacked):
    record = attacked(
        """
seen = set()
def data_selection(workload, input_queue, *unused):
    for batch in (next(input_queue) for _ in range(20)):
        seen.update(image.tobytes() for image in jnp.asarray(batch["inputs"]))
    return batch
import numpy as jnp
def attack(workload, rest): pass
"""
    )
    assert record["outcome"] == "out of steps"
    seen = sys.modules["algoperf_submission.submission"].seen
    digits = load("digits")
    for split in ("validation", "test"):
        for batch in digits.data.batches(split, 64, 0):
            real = batch["weights"] > 0
            assert not seen & {image.tobytes() for image in batch["inputs"][real]}
    assert len(seen) > 500
