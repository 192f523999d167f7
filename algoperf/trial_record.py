"""What `trial.json` says: where a trial comes from, and how it went."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from algoperf.compat import removed_names_used
from algoperf.environment import describe_environment
from algoperf.facts import Facts
from algoperf.progress import Progress
from algoperf.study import TrialPlan
from algoperf.submission import Submission
from algoperf.workload import Workload

_RESULTS = (
    "steps",
    "preemption_count",
    "best",
    "test_target_reached",
    "seconds",
    "batch_size",
)


def new_record(
    plan: TrialPlan,
    workload: Workload,
    submission: Submission,
    settings: Mapping[str, Any],
    earlier: Mapping[str, Any],
    style: str,
) -> dict[str, Any]:
    """The record of a trial that starts, or goes on from an `earlier` record."""
    return {
        "workload": workload.facts.name,
        "study": plan.study,
        "trial": plan.trial,
        "seed": plan.seed,
        "tuning_ruleset": settings["tuning_ruleset"],
        "hyperparameters": plan.point,
        "submission_path": str(submission.path),
        "submission_style": style,
        "removed_names": list(removed_names_used(submission.sources)),
        "settings": settings,
        "findings": list(earlier.get("findings", ())),  # see watch.py
        "num_params": workload.num_params,
        "batch_size": None,  # known when the submission was asked
        # One for every process that took part.
        "environments": [
            *earlier.get("environments", ()),
            {"started_at": now(), **describe_environment()},
        ],
        "hangs": list(earlier.get("hangs", ())),
        **results(workload.facts, Progress()),
        # How far an interrupted trial was, until this process gets further.
        **{name: earlier[name] for name in _RESULTS if name in earlier},
    }


def remarks(record: Mapping[str, Any], facts: Facts) -> list[str]:
    """What is special about a trial, for people."""
    found = []
    if record["removed_names"]:
        names = ", ".join(record["removed_names"])
        found.append(f"supplied, since JAX has removed it: {names}")
    precision = facts.model.get("compute_dtype")
    if precision is not None:
        found.append(f"the model computes in {precision}")
    if record["submission_style"] == "pmap":
        found.append("runs in the pmap style: arrays by device")
    return found


def results(facts: Facts, progress: Progress) -> dict[str, Any]:
    """The part of `trial.json` that training fills in."""
    seconds = progress.seconds
    # A trial ends where it reaches its target: all compiling was before.
    uncharged_s = seconds.with_compile - seconds.submission
    charged_s = seconds.submission - seconds.without_compile
    reached = next(
        (
            {
                "step": step,
                "submission_s": values["score"],
                "with_compile_s": values["score"] + uncharged_s,
                "without_compile_s": values["score"] - charged_s,
                "value": values[f"validation/{facts.metric}"],
            }
            for step, values in progress.eval_results
            if facts.reached_validation(values[f"validation/{facts.metric}"])
        ),
        None,
    )
    values = [
        values[f"validation/{facts.metric}"] for _, values in progress.eval_results
    ]
    best = max if facts.goal == "max" else min
    return {
        "outcome": progress.outcome,
        "error": progress.error,
        "stopped_early": progress.stopped_early,
        "steps": progress.step,
        "preemption_count": progress.preemption_count,
        "reached": reached if progress.outcome == "reached" else None,
        "test_target_reached": progress.test_goal_reached,
        "best": best(values) if values else None,
        "seconds": {
            **asdict(seconds),
            "with_compile": seconds.with_compile,
            "without_compile": seconds.without_compile,
            "total": seconds.total,
        },
    }


def now() -> str:
    """Date and time, for people and for sorting."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
