"""What `algoperf score` shows: leaderboard, times, ratios, health of the logs."""

import math

from scoring.health import by_kind
from scoring.leaderboard import leaderboard_rows
from scoring.remarks import notes, warnings
from scoring.rules import WorkloadRule
from scoring.runtimes import WorkloadResult
from scoring.score_report import ScoreReport
from scoring.scoreboard import Scoreboard
from scoring.text_tables import blocks, titled

BAR_WIDTH = 20


def render(report: ScoreReport) -> str:
    """The whole report as plain text."""
    board = report.board
    parts = [
        leaderboard(report),
        "\n".join(f"warning: {text}" for text in warnings(report)),
        time_tables(board),
        ratio_tables(board),
        sensitivity_table(report),
        health_table(board),
        "\n".join(f"note: {text}" for text in notes(report)),
    ]
    return "\n\n".join(part for part in parts if part)


def leaderboard(report: ScoreReport) -> str:
    """Ranks and scores with their intervals, and the score as a bar from 0 to 1."""
    lines = [
        [
            str(row["rank"]),
            row["submission"],
            row["ruleset"],
            f"{row['score']:.4f}",
            interval(row["score_low"], row["score_high"], ".2f"),
            interval(row["rank_low"], row["rank_high"], "d"),
            "-" if row["rank_1"] is None else f"{row['rank_1']:.0%}",
            "-" if row["speedup"] is None else f"{row['speedup']:.2f}x",
            f"{row['workloads_reached']} of {row['workloads']}",
            _bar(row["score"], row["score_low"], row["score_high"]),
        ]
        for row in leaderboard_rows(report)
    ]
    header = ["rank", "submission", "ruleset", "score", "95 %", "ranks", "P(first)"]
    header += ["speed-up", "reached", "score from 0 to 1"]
    rules, total = report.board.rules, len(report.board.rules.names)
    workloads = f"{total} workload{'' if total == 1 else 's'}"
    title = f"Leaderboard (rules {rules.name}, {workloads})"
    over = f"; speed-up: over {report.reference}" if report.reference else ""
    groups = [f"{group[0]} to {group[-1]}" for group in report.not_separated]
    legend = [
        "95 %, ranks, P(first): by resampling studies"
        + over
        + "; bar: # score, - interval"
    ]
    if groups:
        legend.append(f"not separated at 95 %: {'; '.join(groups)}")
    table = titled(title, header, lines, left=(1, 2, len(header) - 1))
    return "\n".join([table, *legend])


def interval(low: float | None, high: float | None, form: str) -> str:
    """'0.46 to 0.75'; one number if both ends are equal, '-' if there are none."""
    if low is None or high is None:
        return "-"
    ends = [format(int(end) if form == "d" else end, form) for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _bar(score: float, low: float | None, high: float | None) -> str:
    def place(value: float) -> int:
        return min(BAR_WIDTH - 1, int(BAR_WIDTH * value))

    cells = ["."] * BAR_WIDTH
    if low is not None and high is not None:
        cells[place(low) : place(high) + 1] = "-" * (place(high) + 1 - place(low))
    cells[place(score)] = "#"
    return "".join(cells)


def time_tables(board: Scoreboard) -> str:
    """Seconds and steps to target: the medians, workloads by submissions."""
    rules = board.rules.needed

    def cell(submission: str, rule: WorkloadRule) -> str:
        return _time_cell(board, board.runtimes.results[submission, rule.name])

    title = "Time to target: seconds (steps), median over studies of the fastest trial"
    tables = [
        titled(
            title,
            ["workload", "target", *block],
            [
                [rule.name, _target(rule), *(cell(name, rule) for name in block)]
                for rule in rules
            ],
            left=(0, 1),
        )
        for block in blocks(board.submissions)
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
        titled(
            "Performance ratio r: time / best time here",
            ["workload", *block],
            [
                [workload, *(cell(name, workload) for name in block)]
                for workload in board.rules.names
            ],
            left=(0,),
        )
        for block in blocks(board.submissions)
    )


def sensitivity_table(report: ScoreReport) -> str:
    """For every kind of variation the largest change, and the pairs that invert."""
    lines = [
        [
            summary.kind,
            str(summary.count),
            f"{summary.largest.largest_change:+.4f}",
            f"{summary.largest.of}, {summary.largest.what}",
            "; ".join(f"{b} above {a}" for a, b in summary.inversions) or "none",
        ]
        for summary in report.sensitivity
    ]
    header = ["variation", "tried", "largest", "of, with", "ranks that invert"]
    return titled("Sensitivity of the scores", header, lines, left=(0, 3, 4))


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
    return titled(title, header, lines, left=(0, 2, 3))


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
