"""The keys and values of a plan: what is allowed, and what is refused."""

import re
import tomllib
from pathlib import Path

import pytest

from algoperf.facts import UserError
from algoperf.sweep.plan import plan_of, read_plan_file

PLAN = {"submissions": ["adamw"], "workloads": ["digits"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trails": 3}, "no key 'trails'; did you mean trials"),
        ({"submissions": []}, "names no submissions"),
        ({"workloads": "digits"}, "workloads = 'digits' must be a list"),
        ({"submissions": [3]}, "submissions has 3; it must be a name"),
        (
            {"submissions": [{"path": "a", "nam": "b"}]},
            "no key 'nam'; did you mean name",
        ),
        ({"trials": 0}, "trials = 0 must be a whole number, 1 or more"),
        ({"trials": True}, "trials = True must be a whole number"),
        ({"studies": [0, -1]}, "studies = -1 must be a whole number, 0 or more"),
        ({"seed": 2**32}, "seed = 4294967296 must be a whole number, from 0 to"),
        ({"run": {"rng_seed": 3}}, "--rng_seed is set by the sweep; give `seed`"),
        ({"run": {"nooverwrite": True}}, "--nooverwrite is set by the sweep"),
        ({"run": {"data_dir": [1]}}, "run.data_dir = .1. must be a text, a number"),
        ({"slurm": 3}, "slurm = 3 must be a table"),
    ],
)
def test_a_plan_with_a_mistake_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        plan_of(PLAN | changes, "plan.toml")


def test_studies_may_be_named():
    assert plan_of(PLAN | {"studies": [4, 2, 2]}, "p").studies == (2, 4)
    assert plan_of(PLAN | {"studies": 3}, "p").studies == (0, 1, 2)


def test_a_plan_file_has_to_be_one(tmp_path):
    file = tmp_path / "plan.toml"
    with pytest.raises(UserError, match=r"cannot read the plan .*No such file"):
        read_plan_file(file)
    file.write_text("a = = 3")
    with pytest.raises(UserError, match=r"plan\.toml is not a TOML file: "):
        read_plan_file(file)


def test_the_plan_in_the_documentation_is_one():
    text = (Path(__file__).parents[1] / "docs/clusters.md").read_text()
    block = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert block
    plan = plan_of(tomllib.loads(block[1]), "docs")
    assert (plan.trials, plan.seed, plan.studies) == (5, 2026, (0, 1, 2))
    assert plan.submissions[1].tuning_search_space == "wide.json"
    assert plan.flags_for == {"mnist_mini": {"eval_batch_size": 500}}
