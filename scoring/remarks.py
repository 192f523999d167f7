"""What a reader of the scores has to know, in sentences."""

from collections.abc import Sequence

from scoring.fit import better_rules
from scoring.hardware import uneven_machines
from scoring.pace import SPREAD_WARNING, Pace
from scoring.score_report import ScoreReport
from scoring.scoreboard import Scoreboard

_MOST_NAMES = 12


def warnings(report: ScoreReport) -> list[str]:
    """What speaks against taking these scores as they are."""
    board = report.board
    found = [better_rules(board.rules, board.logs), *_study_warnings(board)]
    missing = [w for w in board.rules.names if not _has_logs(board, w)]
    if missing and len(missing) < len(board.rules.names):
        others = ",".join(w for w in board.rules.names if w not in missing)
        found.append(
            f"no submission has logs of {', '.join(missing)}: 0 for everyone; "
            f"--workloads={others} scores the others alone"
        )
    if len({entry.ruleset for entry in board.entries}) > 1:
        found.append(
            "external and self-tuning submissions are mixed; AlgoPerf ranks rulesets "
            "separately: --tuning_ruleset=external (or self) ranks one alone"
        )
    found.append(_uneven([pace for pace in report.paces if pace.uneven]))
    found.append(uneven_machines(board.notes, len(board.logs.trials)))
    return [text for text in found if text]


def notes(report: ScoreReport) -> list[str]:
    """How the scores were made, to compare them with others."""
    board, rules = report.board, report.board.rules
    found = [
        f"rules {rules.name}: {_studies(rules.studies)} of {rules.trials_external} "
        f"trials (external) or {rules.trials_self} (self), tau_max {rules.tau_max:g}; "
        "scores are relative to the submissions ranked here"
    ]
    if set(_studies_found(board)) == {rules.studies}:
        found.append(f"all planned studies found: {rules.studies}")
    if rules.restricted:
        found.append(
            f"only these workloads count: {', '.join(rules.names)}; "
            f"not the score of rules {rules.name}"
        )
    if board.by_trapezoid:
        found.append("score by the published 100-point trapezoid, not the integral")
    assumed = _assumed_rulesets(board)
    if assumed:
        found.append(f"no trial.json says the tuning ruleset; taken as {assumed}")
    return [*found, *_about_intervals(report), *_about_speedups(report)]


def _about_intervals(report: ScoreReport) -> list[str]:
    studies = report.board.rules.studies
    if not report.over_studies:
        return ["no intervals: they come from the spread of studies, and there is one"]
    count, seed = len(report.resamples.scores), report.resamples.seed
    found = [
        f"intervals: 95 %, bootstrap over {studies} studies, {count:,} resamples, "
        f"seed {seed}"
    ]
    if studies < 10:
        found[0] += "; with so few studies they are coarse and rather too narrow"
    if report.not_separated:
        groups = "; ".join(_listed(group) for group in report.not_separated)
        found.append(f"not separated at 95 %: {groups}")
    return found


def _about_speedups(report: ScoreReport) -> list[str]:
    if report.reference is None:
        return [
            "speed-ups need a reference: --reference=NAME names one of the submissions"
        ]
    missed = [own for own in report.speedups if own.missing]
    if not missed:
        return []
    return [
        "speed-ups take the budget for the time where a target was not reached: "
        + "; ".join(f"{own.submission} ({', '.join(own.missing)})" for own in missed)
    ]


def _listed(names: Sequence[str]) -> str:
    """Names with commas, the first ones of very many."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _studies(count: int) -> str:
    return f"{count} study" if count == 1 else f"{count} studies"


def _studies_found(board: Scoreboard) -> dict[int, list[str]]:
    """Submissions by how many of the planned studies they have."""
    planned = set(range(board.rules.studies))
    found: dict[str, set[int]] = {name: set() for name in board.submissions}
    for trial in board.logs.trials:
        found[trial.submission].add(trial.study)
    by_count: dict[int, list[str]] = {}
    for name, studies in found.items():
        by_count.setdefault(len(studies & planned), []).append(name)
    return dict(sorted(by_count.items()))


def _study_warnings(board: Scoreboard) -> list[str]:
    planned = board.rules.studies
    return [
        f"{count} of {planned} planned studies found: {_listed(names)}; a missing "
        "study counts as infinite"
        # With half of the studies missing, the median is infinite everywhere.
        + (
            "; too few for any finite median (--studies=1 scores a single study)"
            if 2 * count <= planned
            else ""
        )
        for count, names in _studies_found(board).items()
        if count < planned
    ]


def _uneven(paces: list[Pace]) -> str:
    if not paces:
        return ""
    worst = max(paces, key=lambda pace: pace.spread)
    return (
        f"seconds per step differ by more than {SPREAD_WARNING}x between studies in "
        f"{len(paces)} places, most in {worst.submission} on {worst.workload} "
        f"({worst.spread:.2f}x): were the machines equal?"
    )


def _assumed_rulesets(board: Scoreboard) -> str:
    told = {trial.submission for trial in board.logs.trials if trial.ruleset}
    assumed = {
        ruleset for name, ruleset in board.logs.rulesets.items() if name not in told
    }
    return " and ".join(sorted(assumed))


def _has_logs(board: Scoreboard, workload: str) -> bool:
    return any(
        board.runtimes.results[name, workload].framework is not None
        for name in board.submissions
    )
