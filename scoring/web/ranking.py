"""The leaderboard itself: scores, intervals, who beats whom, times."""

import math
from typing import Any

from scoring.leaderboard import leaderboard_rows
from scoring.report import interval
from scoring.score_report import ScoreReport
from scoring.statistics import Uncertainty
from scoring.web.look import COLOURS, MOST_SHOWN, marker, swatch
from scoring.web.markup import Cell, Markup, el, join, table

_BAR_WIDTH = 130


def leaderboard(report: ScoreReport) -> Markup:
    """The ranking, sortable, with the score and its interval as a bar."""
    rows = []
    for place, row in enumerate(leaderboard_rows(report)):
        # The extra interval is over studies and workloads: how others would come out.
        wide = interval(
            row["score_low_over_workloads"], row["score_high_over_workloads"], ".2f"
        )
        name = join([swatch(place), row["submission"]])
        line = [
            Cell(name, row["submission"]),
            Cell(row["rank"], row["rank"]),
            Cell(f"{row['score']:.4f}", row["score"]),
            Cell(_bar(place, row), row["score"], left=True),
            Cell(
                interval(row["score_low"], row["score_high"], ".2f"), row["score_low"]
            ),
            Cell(interval(row["rank_low"], row["rank_high"], "d"), row["rank_low"]),
            Cell(_percent(row["rank_1"]), row["rank_1"]),
            Cell(wide, row["score_low_over_workloads"]),
            Cell(_speedup(row), row["speedup"]),
            Cell(_steps(row), row["steps_score"]),
            Cell(
                f"{row['workloads_reached']} of {row['workloads']}",
                row["workloads_reached"],
            ),
            Cell(row["ruleset"], row["ruleset"], left=True),
        ]
        rows.append(line)
    header = ["submission", "rank", "score", "0 to 1", "95 %", "ranks", "P(first)"]
    header += ["with workloads", "speed-up", "in steps", "reached", "ruleset"]
    caption = (
        "95 %, ranks, P(first) and the bar: by resampling studies; with workloads: "
        "by resampling those too; in steps: score (rank) with steps for seconds"
    )
    if report.reference:
        caption += f"; speed-up: over {report.reference}"
    return table(caption, header, rows, sortable=True)


def _bar(place: int, row: dict[str, Any]) -> Markup:
    def x(value: float) -> float:
        return 5 + (_BAR_WIDTH - 10) * value

    low, high = row["score_low"], row["score_high"]
    parts = [el("line", x1=x(0), x2=x(1), y1=8, y2=8, class_="grid")]
    colour = f"c{place % COLOURS}"
    if low is not None:
        ends = {"y1": 8, "y2": 8, "stroke_width": 5, "opacity": 0.45, "class_": colour}
        parts.append(
            el("line", x1=f"{x(low):.1f}", x2=f"{max(x(high), x(low) + 1):.1f}", **ends)
        )
    parts.append(marker(place, x(row["score"]), 8, f"{row['score']:.4f}"))
    look = {"width": _BAR_WIDTH, "height": 16, "aria_hidden": "true", "class_": "bar"}
    return el("svg", *parts, viewBox=f"0 0 {_BAR_WIDTH} 16", **look)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _speedup(row: dict[str, Any]) -> str:
    if row["speedup"] is None:
        return "-"
    ends = interval(row["speedup_low"], row["speedup_high"], ".2f")
    return f"{row['speedup']:.2f}× ({ends})"


def _steps(row: dict[str, Any]) -> str:
    if row["steps_score"] is None:
        return "-"
    return f"{row['steps_score']:.4f} ({row['steps_rank']})"


def pairs(report: ScoreReport) -> Markup | None:
    """P(row scores higher than column), the best submissions; None for a single one."""
    shown: tuple[Uncertainty, ...] = report.over_studies[:MOST_SHOWN]
    if len(shown) < 2:
        return None
    rows = [
        [
            own.submission,
            *(
                Cell("·")
                if other is own
                else Cell(
                    f"{own.beats[other.submission]:.0%}", own.beats[other.submission]
                )
                for other in shown
            ),
        ]
        for own in shown
    ]
    header = ["P(row scores higher)", *(own.submission for own in shown)]
    numbers = table("How often the row scores higher than the column", header, rows)
    return el("details", el("summary", "Who beats whom"), numbers)


def times(report: ScoreReport) -> Markup:
    """Median seconds to target, workloads by submissions."""
    board = report.board
    rows = []
    for rule in board.rules.needed:
        cells = []
        for name in board.submissions:
            result = board.runtimes.results[name, rule.name]
            if result.framework is None:
                cells.append(Cell("no logs"))
            elif math.isfinite(result.time_s):
                cells.append(Cell(_time(report, name, rule.name), result.time_s))
            else:
                cells.append(Cell("-"))
        rows.append([rule.name, *cells])
    header = ["workload", *board.submissions]
    caption = "Median seconds to target (times the best); * reached but not counted"
    return table(caption, header, rows, sortable=True)


def _time(report: ScoreReport, name: str, workload: str) -> str:
    board = report.board
    text = f"{board.runtimes.results[name, workload].time_s:,.1f}"
    if workload not in board.ratios.columns:
        return text
    ratio = board.ratios[name, workload]
    return f"{text} ({ratio:.2f}×)" if math.isfinite(ratio) else f"{text} *"


def speedups(report: ScoreReport) -> Markup | None:
    """Speed-ups by workload; None without a reference."""
    if report.reference is None:
        return None
    rows = []
    for own in report.speedups:
        cells = [
            Cell(_speedup_cell(own, name), own.by_workload[name])
            for name in report.board.rules.names
        ]
        mean = interval(own.interval.low, own.interval.high, ".2f")
        total = Cell(f"{own.geometric_mean:.2f}× ({mean})", own.geometric_mean)
        saved = Cell(f"{own.time_saved:+.1%}", own.time_saved)
        rows.append([own.submission, total, saved, *cells])
    header = ["submission", "geometric mean", "time saved", *report.board.rules.names]
    caption = (
        f"Speed-up over {report.reference}; a missed target (m: its own, r: the "
        "reference's) counts as the budget"
    )
    return table(caption, header, rows, sortable=True)


def _speedup_cell(own: Any, workload: str) -> str:
    ends = own.intervals[workload]
    text = f"{own.by_workload[workload]:.2f}×"
    if own.by_workload[workload] == ends.low == ends.high == 1.0:
        shown = text
    else:
        shown = f"{text} ({interval(ends.low, ends.high, '.2f')})"
    marks = [
        mark
        for mark, missed in (("m", own.missing), ("r", own.reference_missing))
        if workload in missed
    ]
    return f"{shown} {' '.join(marks)}".rstrip()
