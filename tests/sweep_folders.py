"""Trial folders as `algoperf run` writes them, from a few numbers, without training."""

from pathlib import Path
from typing import Any

from algoperf import records


def write_trial(
    root: Path,
    number: int,
    outcome: str | None = "reached",
    *,
    submission: str = "adam",
    study: int = 0,
    workload: str = "digits",
    best: float | None = 0.98,
    reached_s: float | None = 2.0,
    total_s: float = 10.0,
    steps: int = 100,
    seed: int = 7,
    **settings: Any,
) -> Path:
    """One trial and the plan of its study; returns the trial's folder."""
    folder = records.trial_folder(root / submission, study, workload, number)
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "outcome": outcome,
        "steps": steps,
        "best": best,
        "error": 'Traceback\n  "outcome": "reached",\n'
        if outcome == "failed"
        else None,
        "reached": None
        if outcome != "reached"
        else {"step": steps, "submission_s": reached_s, "value": best},
        "seconds": {"submission": total_s / 2, "total": total_s},
        "settings": {
            "seed": number,
            "workload": {"metric": "accuracy", "name": workload},
            "limits": {"max_steps": None},
        }
        | settings,
        "trial": number,
    }
    records.write_json(folder / records.TRIAL, record)
    (folder / records.EVALS).write_text("global_step\n1\n")
    plan = folder.parent.with_suffix(".json")
    before = (records.read_json(plan) or {}).get("trials", [])
    trials = [{"trial": n, "seed": n + seed} for n in range(1, number + 1)]
    longer = max(before, trials, key=len)
    records.write_json(plan, {"experiment_seed": seed, "trials": longer})
    return folder
