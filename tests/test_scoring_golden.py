"""The published AlgoPerf 0.6 logs score what two independent programs computed."""

import csv
import json
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from scoring.load import load_logs
from scoring.rules import Ruleset, get_rules
from scoring.scoreboard import Scoreboard, score_logs

GOLDEN = Path(__file__).parent / "golden"
RULES = get_rules("v0.6")
METRIC = {rule.name: rule.column for rule in RULES.workloads}
TIME, STEP = "accumulated_submission_time", "global_step"

Original = dict[tuple[str, str, int, int], list[int]]


def unpack(root: Path, ruleset: str) -> Original:
    """The excerpt as a log tree; returns the original numbers of each trial's rows."""
    original: Original = {}
    with (GOLDEN / "algoperf_v06_excerpt.csv").open() as lines:
        for line in csv.DictReader(lines):
            if line["ruleset"] != ruleset:
                continue
            study, folder, trial = line["study"], line["workload_folder"], line["trial"]
            name = line["submission"]
            path = root / name / f"study_{study}" / folder / f"trial_{trial}"
            path.mkdir(parents=True, exist_ok=True)
            if not line["row"]:
                continue  # crashed before its first evaluation
            workload = folder.rpartition("_")[0]
            rows = original.setdefault((name, workload, int(study), int(trial)), [])
            with (path / "eval_measurements.csv").open("a") as file:
                if not rows:
                    file.write(f"{TIME},{STEP},{METRIC[workload]}\n")
                file.write(f"{line[TIME]},{line[STEP]},{line['validation_metric']}\n")
            rows.append(int(line["row"]))
    return original


def golden_time(value: float | str) -> Any:
    return pytest.approx(float(value), rel=1e-12)


@pytest.fixture(scope="module", params=get_args(Ruleset))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    ruleset = cast(Ruleset, request.param)
    root = tmp_path_factory.mktemp(ruleset)
    original = unpack(root, ruleset)
    board = score_logs(load_logs(root, RULES, ruleset), RULES)
    golden = json.loads((GOLDEN / "algoperf_v06_golden.json").read_text())[ruleset]
    return board, golden, original


Case = tuple[Scoreboard, dict[str, Any], Original]


def test_every_trial_study_median_and_ratio(case: Case):
    board, golden, original = case
    assert set(board.submissions) == set(golden)
    for (name, workload), result in board.runtimes.results.items():
        expected = golden[name]["workloads"][workload]
        assert result.time_s == golden_time(expected["median"])
        assert board.ratios[name, workload] == golden_time(expected["ratio"])
        for study, time in zip(result.studies, expected["studies"], strict=True):
            found = study.fastest.time_s if study.fastest else float("inf")
            assert found == golden_time(time)
        reached = [
            [
                study.study,
                reach.trial,
                original[name, workload, study.study, reach.trial][reach.row],
                reach.step,
                golden_time(reach.time_s),
            ]
            for study in result.studies
            for reach in study.reaches
        ]
        assert reached == expected["reached"]


def test_scores(case: Case):
    board, golden, _ = case
    for entry in board.entries:
        expected = golden[entry.submission]
        assert entry.exact == pytest.approx(expected["exact"], rel=1e-12)
        assert entry.trapezoid == pytest.approx(expected["trapezoid"], rel=1e-12)
        assert entry.score == entry.exact


def test_the_published_leaderboard(case: Case):
    board, _, _ = case
    lines = [(e.rank, e.submission, round(e.trapezoid, 4)) for e in board.entries]
    assert lines in (
        [(1, "shampoo", 0.6244), (2, "baseline", 0.459)],
        [(1, "schedule_free_adamw_v2", 0.75)],
    )


def test_health_of_the_real_logs(case: Case):
    board, _, _ = case
    harm = sorted(f"{n.where}: {n.what}" for n in board.notes if n.effect != "nothing")
    missing, vit = "no eval_measurements.csv", "study_{}/imagenet_vit_{}/trial_{}"
    assert harm in (
        [],  # self-tuning
        [
            *(f"baseline/{vit.format(s, 'jax', 5)}: {missing}" for s in range(3)),
            "shampoo/study_2/criteo1tb_pytorch/trial_3: NaN in validation/loss",
            f"shampoo/{vit.format(2, 'pytorch', 1)}: {missing}",
        ],
    )
