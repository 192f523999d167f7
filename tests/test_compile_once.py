"""A train step is compiled once a trial, an evaluation once a shape."""

from pathlib import Path

import pytest
from fakes import Quiet, compiled_functions

from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import plan_study
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from algoperf.tuning import read_search_space, study_points
from workloads.loading import load

SUBMISSIONS = Path(__file__).parents[1] / "submissions"


class Counting(Quiet):
    """Notes at every evaluation how much has been compiled."""

    def __init__(self, names: list[str]):
        super().__init__()
        self.names = names
        self.counts: list[int] = []

    def evaluated(self, progress):
        self.counts.append(len(self.names))


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("external_tuning/adamw", "train_step"),
        ("external_tuning/momentum", "train_step"),
        ("self_tuning/nadamw", "train_step"),
        ("template", "train_step"),
    ],
)
@pytest.mark.parametrize("workload_name", ["digits", "mnist_mini"])
def test_everything_is_compiled_once(tmp_path, name, step, workload_name):
    workload = load(workload_name)
    folder = SUBMISSIONS / name
    space = folder / "tuning_search_space.json"
    points = study_points(read_search_space(space), 1) if space.exists() else [None]
    (plan,) = plan_study(tmp_path, workload.facts, 0, points, seed=0)
    limits = Limits(max_runtime_s=60.0, max_steps=12, eval_every_steps=3)
    options = RunOptions("external", limits, save_checkpoints=False)
    with compiled_functions() as names:
        observer = Counting(names)
        run = TrialRun(plan, workload, folder, options, observer)
        record = run.run(StopRequest())
    assert record["outcome"] == "out of steps", record["error"]
    # Three splits of one padded shape, five evaluations: one compilation.
    assert sum("measure" in compiled for compiled in names) == 1
    assert sum(step in compiled for compiled in names) == 1
    # From the first evaluation on nothing at all is compiled.
    assert observer.counts == [len(names)] * 5
