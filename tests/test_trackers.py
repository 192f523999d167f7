"""Charts elsewhere: what is in them, that they cost nothing and end nothing."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from event_files import points
from fake_trial import submission as fake_submission
from fakes import PLAIN_SUBMISSION, FakeTime, Quiet

from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import plan_study
from algoperf.trackers import FILE, TRACKERS, Trackers
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.loading import load

# Logs its step, as a loss, at every step.
LOGGING = PLAIN_SUBMISSION.replace(
    "model_state, optimizer_state, **rest):\n",
    "model_state, optimizer_state, workload, global_step, **rest):\n"
    '    workload.metrics_logger.append_scalar_metrics({"loss": 0.5 * global_step},'
    " global_step)\n",
)


class StopAt(Quiet):
    """Asks to stop after a step."""

    def __init__(self, step: int | None = None):
        super().__init__()
        self.step, self.stop = step, StopRequest()

    def stepped(self, progress, submission_s):
        if progress.step == self.step:
            self.stop.ask(15)


def run(
    folder: Path, observer: StopAt, *trackers: str, overwrite: bool = False
) -> dict:
    """Twelve steps on digits, evaluated every four."""
    source = folder / "mine"
    source.mkdir(exist_ok=True)
    (source / "submission.py").write_text(LOGGING)
    workload = load("digits")
    (plan,) = plan_study(folder / "mine_logs", workload.facts, 0, [None], seed=0)
    options = RunOptions(
        "self",
        Limits(max_runtime_s=60.0, max_steps=12, eval_every_steps=4),
        trackers=trackers,
        overwrite=overwrite,
    )
    return TrialRun(plan, workload, source, options, observer).run(observer.stop)


def trial_folder(folder: Path) -> Path:
    return folder / "mine_logs/study_0/digits_jax/trial_1"


def test_tensorboard_has_every_row_of_a_trial_that_was_stopped_and_resumed(tmp_path):
    run(tmp_path, StopAt(6), "tensorboard")
    record = run(tmp_path, StopAt(), "tensorboard")
    assert record["outcome"] == "out of steps"
    assert record["trackers"] == {"tensorboard": {"error": None}}
    found = points(trial_folder(tmp_path) / "tensorboard")
    losses = [(step, value) for name, step, value in found if name == "loss"]
    assert losses == [(step, 0.5 * step) for step in range(12)]
    accuracies = {s: v for name, s, v in found if name == "validation/accuracy"}
    assert list(accuracies) == [1, 4, 8, 12]
    assert accuracies[12] == pytest.approx(record["best"], abs=1e-6)


def test_what_comes_after_the_checkpoint_is_purged(tmp_path):
    for first, steps in ((1, (1, 4, 8)), (5, (5, 8))):
        trackers = Trackers(["tensorboard"])
        trackers.open(tmp_path, "title", {}, first)
        for step in steps:
            trackers.log([], (step, {"a": float(100 * first + step)}))
        trackers.close()
    found = points(tmp_path / "tensorboard")
    assert [(s, v) for _, s, v in found] == [(1, 101), (4, 104), (5, 505), (8, 508)]


class FakeRun:
    """What wandb.init returns."""

    def __init__(self, calls):
        self.calls = calls

    def define_metric(self, *arguments, **named):
        self.calls.append(("define_metric", arguments, named))

    def log(self, values):
        self.calls.append(("log", values))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package; `calls` are what was asked of it."""
    module = ModuleType("wandb")
    module.calls = []
    module.error = None

    def init(**named):
        module.calls.append(("init", named))
        if module.error:
            raise module.error
        return FakeRun(module.calls)

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def inits(wandb) -> list[dict]:
    return [call[1] for call in wandb.calls if call[0] == "init"]


def logged(wandb) -> list[dict]:
    return [call[1] for call in wandb.calls if call[0] == "log"]


def test_a_resumed_trial_continues_the_run_at_wandb(tmp_path, wandb):
    run(tmp_path, StopAt(6), "wandb")
    run(tmp_path, StopAt(), "wandb")
    first, second = inits(wandb)
    assert first["id"] == second["id"] != ""
    assert first["resume"] == "allow"
    assert first["group"] == "mine_logs"
    assert first["name"] == "mine_logs digits study 0 trial 1"
    assert first["config"]["workload"] == "digits"
    steps = [r["global_step"] for r in logged(wandb) if "validation/loss" in r]
    assert steps == [1, 4, 8, 12]
    assert [call[0] for call in wandb.calls].count("finish") == 2
    ids = json.loads((trial_folder(tmp_path) / FILE).read_text())
    assert ids == {"wandb": first["id"]}
    run(tmp_path, StopAt(), "wandb", overwrite=True)
    assert inits(wandb)[2]["id"] != first["id"]


class FakeMlflowClient:
    """The calls of mlflow's client that are used, on one server for all clients."""

    def __init__(self, server):
        self.server = server

    def get_experiment_by_name(self, name):
        known = name in self.server.experiments
        return SimpleNamespace(experiment_id="7") if known else None

    def create_experiment(self, name):
        self.server.experiments.append(name)
        return "7"

    def create_run(self, experiment_id, run_name):
        run_id = f"run{len(self.server.runs)}"
        self.server.runs[run_id] = [("created", experiment_id, run_name)]
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def update_run(self, run_id, status):
        self.server.runs[run_id].append((status,))

    def log_param(self, run_id, name, value):
        self.server.runs[run_id].append(("param", name, value))

    def log_metric(self, run_id, name, value, step):
        self.server.runs[run_id].append((name, step, value))

    def set_terminated(self, run_id):
        self.server.runs[run_id].append(("terminated",))


def test_a_resumed_trial_continues_the_run_at_mlflow(tmp_path, monkeypatch):
    server = SimpleNamespace(experiments=[], runs={})
    tracking = ModuleType("mlflow.tracking")
    tracking.MlflowClient = lambda: FakeMlflowClient(server)
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    run(tmp_path, StopAt(6), "mlflow")
    run(tmp_path, StopAt(), "mlflow")
    assert server.experiments == ["algoperf"]
    (calls,) = server.runs.values()
    assert calls[0] == ("created", "7", "mine_logs digits study 0 trial 1")
    assert ("param", "workload", "digits") in calls
    assert ("RUNNING",) in calls
    assert [c for c in calls if c[0] == "loss"] == [
        ("loss", step, 0.5 * step) for step in range(12)
    ]
    assert [c[1] for c in calls if c[0] == "validation/loss"] == [1, 4, 8, 12]
    assert calls.count(("terminated",)) == 2


def test_a_tracker_that_cannot_start_is_said_once_and_recorded(tmp_path, wandb):
    wandb.error = RuntimeError("no network")
    observer = StopAt()
    record = run(tmp_path, observer, "wandb", "tensorboard")
    assert record["outcome"] == "out of steps"
    (said,) = [text for text in observer.messages if "tracker" in text]
    assert said.startswith("tracker wandb failed and is left out: RuntimeError: no net")
    assert record["trackers"] == {
        "wandb": {"error": "RuntimeError: no network"},
        "tensorboard": {"error": None},
    }
    assert json.loads((trial_folder(tmp_path) / "trial.json").read_text()) == record


@pytest.mark.parametrize("error", [RuntimeError("gone"), SystemExit(3)])
@pytest.mark.parametrize("function", ["log", "finish"])
def test_a_tracker_that_fails_later_ends_nothing(
    tmp_path, wandb, monkeypatch, function, error
):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(FakeRun, function, fail)
    observer = StopAt()
    record = run(tmp_path, observer, "wandb")
    assert record["outcome"] == "out of steps"
    assert record["trackers"]["wandb"]["error"].startswith(type(error).__name__)
    assert sum("tracker" in text for text in observer.messages) == 1


def test_trackers_are_not_on_the_submissions_time(start, monkeypatch, tmp_path):
    """Each call takes a minute; a step takes a second."""
    now = FakeTime()

    class Slow:
        run_id = None

        def __init__(self, run):
            pass

        def log(self, step, values):
            now.passes(60.0)

        flush = close = lambda self: now.passes(60.0)

    monkeypatch.setitem(TRACKERS, "slow", Slow)
    trackers = Trackers(["slow"])
    trackers.open(tmp_path, "title", {}, 1)
    plan = fake_submission(update_s=1.0, now=now)
    progress = start(plan, now=now, trackers=trackers).run(StopRequest())
    assert progress.step == 10
    assert progress.seconds.submission == 10.0
    assert progress.seconds.logging >= 4 * 120.0


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--trackers=tensorbord", "did you mean tensorboard?"),
        ("--trackers=tensorboard,mlflow", "pip install 'algoperf-jax[mlflow]'"),
        ("--use_wandb", "--trackers=wandb needs the package wandb"),
    ],
)
def test_trackers_that_are_not_there_are_refused(monkeypatch, flag, message):
    from absl import flags

    from algoperf.cli import run_flags
    from algoperf.cli.flag_parsing import parse

    missing = {"mlflow", "wandb"}
    monkeypatch.setattr(
        run_flags, "find_spec", lambda name: None if name in missing else object()
    )
    values = flags.FlagValues()
    run_flags.define(values)
    parse(values, "", [flag])
    with pytest.raises(
        UserError, match=message.replace("[", r"\[").replace("?", r"\?")
    ):
        run_flags.trackers(values)
