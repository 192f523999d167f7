"""Stand-ins that tests share."""

import contextlib
from typing import Any

import jax

from algoperf.facts import DataFiles, Facts

# The source of the smallest submission there is: it leaves everything as it was.
PLAIN_SUBMISSION = """
def get_batch_size(workload_name):
    return 64

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return None

def update_params(*, current_param_container, model_state, optimizer_state, **rest):
    return optimizer_state, current_param_container, model_state
"""


@contextlib.contextmanager
def compiled_functions():
    """The names of the functions that the backend compiles meanwhile, as they come."""
    names: list[str] = []

    def note(event, duration, **details):
        del duration
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(details.get("fun_name", "?"))

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


class FakeTime:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s

    def passes(self, seconds: float) -> None:
        self.s += seconds


class Quiet:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def stepped(self, progress, submission_s):
        pass

    def evaluated(self, progress):
        pass

    def message(self, text):
        self.messages.append(text)

    def ended(self, record):
        pass


def made_up_facts(**changes: Any) -> Facts:
    """Facts of a workload of a few examples, for models without data."""
    facts = {
        "name": "made_up",
        "base": "made_up",
        "scale": "mini",
        "metric": "accuracy",
        "goal": "max",
        "validation_target": 0.5,
        "test_target": None,
        "max_runtime_s": 1,
        "eval_period_steps": 1,
        "step_hint": 10,
        "loss": "softmax_cross_entropy",
        "batch_size": 8,
        "eval_batch_size": 8,
        "examples": {"train": 8, "eval_train": 8, "validation": 8},
        "data": DataFiles("made up"),
    }
    return Facts(**facts | changes)
