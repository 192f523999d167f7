"""What `algoperf score` shows: leaderboard, times, ratios, health of the logs."""

import math
from collections.abc import Iterable, Sequence

from scoring.health import by_kind
from scoring.rules import WorkloadRule
from scoring.runtimes import WorkloadResult
from scoring.scoreboard import Scoreboard

# Where the leaderboard shows the performance profile.
SHOWN_TAUS = (1.0, 1.5, 2.0, 4.0)
BAR_WIDTH = 20
# Submissions side by side before a table goes on below.
BLOCK = 4


def render(board: Scoreboard) -> str:
    """The whole report as plain text."""
    parts = [
        leaderboard(board),
        time_tables(board),
        ratio_tables(board),
        health_table(board),
        "\n".join(f"note: {text}" for text in remarks(board)),
    ]
    return "\n\n".join(part for part in parts if part)


def leaderboard(board: Scoreboard) -> str:
    """Ranks and scores, with the profile at a few tau and the score as a bar."""
    taus = [tau for tau in SHOWN_TAUS if tau <= board.rules.tau_max]
    profile = board.profile(taus)
    total = len(board.rules.names)
    lines = []
    for entry in board.entries:
        rho = [f"{profile[entry.submission, tau]:.2f}" for tau in profile.columns]
        filled = round(BAR_WIDTH * entry.score)
        lines.append(
            [
                str(entry.rank),
                entry.submission,
                entry.ruleset,
                f"{entry.score:.4f}",
                f"{entry.workloads_reached} of {total}",
                *rho,
                "#" * filled + "." * (BAR_WIDTH - filled),
            ]
        )
    header = ["rank", "submission", "ruleset", "score", "reached"]
    header += [f"r<={tau}" for tau in profile.columns] + ["score from 0 to 1"]
    workloads = f"{total} workload{'' if total == 1 else 's'}"
    title = f"Leaderboard (rules {board.rules.name}, {workloads})"
    return _titled(title, header, lines, left=(1, 2, len(header) - 1))


def time_tables(board: Scoreboard) -> str:
    """Seconds and steps to target: the medians, workloads by submissions."""
    rules = board.rules.needed

    def cell(submission: str, rule: WorkloadRule) -> str:
        return _time_cell(board, board.runtimes.results[submission, rule.name])

    title = "Time to target: seconds (steps), median over studies of the fastest trial"
    tables = [
        _titled(
            title,
            ["workload", "target", *block],
            [
                [rule.name, _target(rule), *(cell(name, rule) for name in block)]
                for rule in rules
            ],
            left=(0, 1),
        )
        for block in _blocks(board.submissions)
    ]
    legend = ["-: target not reached"]
    text = "\n\n".join(tables)
    if "*" in text:
        legend.append(
            "*: reached but not counted (above "
            f"{board.rules.far_factor:g} times the best, or held-out missed)"
        )
    return text + "\n" + "; ".join(legend)


def ratio_tables(board: Scoreboard) -> str:
    """Performance ratios: time over the best time of the workload."""

    def cell(submission: str, workload: str) -> str:
        ratio = board.ratios[submission, workload]
        return f"{ratio:.3f}" if math.isfinite(ratio) else "-"

    return "\n\n".join(
        _titled(
            "Performance ratio r: time / best time here",
            ["workload", *block],
            [
                [workload, *(cell(name, workload) for name in block)]
                for workload in board.rules.names
            ],
            left=(0,),
        )
        for block in _blocks(board.submissions)
    )


def health_table(board: Scoreboard) -> str:
    """The kinds of irregularities with their number and one place; '' if none."""
    lines = [
        [effect, str(len(notes)), what, notes[0].where]
        for (effect, what), notes in by_kind(board.notes).items()
    ]
    if not lines:
        return ""
    header = ["effect", "count", "what", "for example"]
    title = "Health of the logs (every case is in scores.json)"
    return _titled(title, header, lines, left=(0, 2, 3))


def remarks(board: Scoreboard) -> list[str]:
    """What a reader has to know to compare these scores with others."""
    rules = board.rules
    found = [
        f"rules {rules.name}: {rules.studies} studies of {rules.trials_external} "
        f"trials (external) or {rules.trials_self} (self), tau_max {rules.tau_max:g}; "
        "scores are relative to the submissions ranked here"
    ]
    found += _study_remarks(board)
    if rules.restricted:
        found.append(
            f"only these workloads count: {', '.join(rules.names)}; "
            f"not the score of rules {rules.name}"
        )
    missing = [w for w in rules.names if not _has_logs(board, w)]
    if missing and len(missing) < len(rules.names):
        others = ",".join(w for w in rules.names if w not in missing)
        found.append(
            f"no submission has logs of {', '.join(missing)}: 0 for everyone; "
            f"--workloads={others} scores the others alone"
        )
    if len({entry.ruleset for entry in board.entries}) > 1:
        found.append(
            "external and self-tuning submissions are mixed; AlgoPerf ranks rulesets "
            "separately: --tuning_ruleset=external (or self) ranks one alone"
        )
    if board.by_trapezoid:
        found.append("score by the published 100-point trapezoid, not the integral")
    return found


def _study_remarks(board: Scoreboard) -> list[str]:
    planned = board.rules.studies
    by_count: dict[int, list[str]] = {}
    for name in board.submissions:
        studies = {t.study for t in board.logs.trials if t.submission == name}
        count = len(studies & set(range(planned)))
        by_count.setdefault(count, []).append(name)
    if set(by_count) == {planned}:
        return [f"all {planned} planned studies found"]
    return [
        f"{count} of {planned} planned studies found: {', '.join(names)}; a missing "
        "study counts as infinite"
        # With half of the studies missing, the median is infinite everywhere.
        + (
            "; too few for any finite median (--studies=1 scores a single study)"
            if 2 * count <= planned
            else ""
        )
        for count, names in sorted(by_count.items())
        if count < planned
    ]


def _has_logs(board: Scoreboard, workload: str) -> bool:
    return any(
        board.runtimes.results[name, workload].framework is not None
        for name in board.submissions
    )


def _time_cell(board: Scoreboard, result: WorkloadResult) -> str:
    if result.framework is None:
        return "no logs"
    if not math.isfinite(result.time_s):
        return "-"
    steps = f" ({result.step:,.0f})" if math.isfinite(result.step) else ""
    scored = result.workload in board.counted.columns
    counts = not scored or math.isfinite(
        board.counted[result.submission, result.workload]
    )
    return f"{result.time_s:,.1f}{steps}{'' if counts else ' *'}"


def _target(rule: WorkloadRule) -> str:
    sign = ">=" if rule.goal == "max" else "<="
    return f"{rule.metric} {sign} {rule.validation_target:g}"


def _blocks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[i : i + BLOCK] for i in range(0, len(names), BLOCK)]


def _titled(
    title: str, header: list[str], lines: list[list[str]], left: Iterable[int]
) -> str:
    """A table with a title; columns are right-aligned but those in `left`."""
    to_left = set(left)
    widths = [max(map(len, cells)) for cells in zip(header, *lines, strict=True)]

    def joined(cells: Iterable[str]) -> str:
        padded = [
            cell.ljust(width) if column in to_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([title, joined(header), rule, *map(joined, lines)])
