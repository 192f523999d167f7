"""The numbers by workload: median seconds to target, and speed-ups from them."""

import math

from scoring.report import interval
from scoring.score_report import ScoreReport
from scoring.speedup import Speedup
from scoring.web.markup import Cell, Markup, table


def times(report: ScoreReport) -> Markup:
    """Median seconds to target; of workloads and submissions, the more go down."""
    names = report.board.submissions
    workloads = [rule.name for rule in report.board.rules.needed]
    if len(names) > len(workloads):
        header = ["submission", *workloads]
        rows = [[n, *(_median(report, n, w) for w in workloads)] for n in names]
    else:
        header = ["workload", *names]
        rows = [[w, *(_median(report, n, w) for n in names)] for w in workloads]
    caption = "Median seconds to target (times the best); * reached but not counted"
    return table(caption, header, rows, sortable=True)


def _median(report: ScoreReport, name: str, workload: str) -> Cell:
    board = report.board
    result = board.runtimes.results[name, workload]
    if result.framework is None:
        return Cell("no logs", "")
    if not math.isfinite(result.time_s):
        return Cell("-")
    text = f"{result.time_s:,.1f}"
    if workload in board.ratios.columns:
        ratio = board.ratios[name, workload]
        text += f" ({ratio:.2f}×)" if math.isfinite(ratio) else " *"
    return Cell(text, result.time_s)


def speedups(report: ScoreReport) -> Markup | None:
    """Speed-ups by workload; None without a reference."""
    if report.reference is None:
        return None
    rows = []
    for own in report.speedups:
        mean = interval(own.interval.low, own.interval.high, ".2f")
        total = Cell(f"{own.geometric_mean:.2f}× ({mean})", own.geometric_mean)
        saved = Cell(f"{own.time_saved:+.1%}", own.time_saved)
        cells = [_speedup(own, name) for name in report.board.rules.names]
        rows.append([own.submission, total, saved, *cells])
    header = ["submission", "geometric mean", "time saved", *report.board.rules.names]
    caption = (
        f"Speed-up over {report.reference} (95 %); a missed target (m: its own, r: the "
        "reference's) counts as the budget"
    )
    return table(caption, header, rows, sortable=True)


def _speedup(own: Speedup, workload: str) -> Cell:
    value, ends = own.by_workload[workload], own.intervals[workload]
    text = f"{value:.2f}×"
    if not value == ends.low == ends.high == 1.0:
        text += f" ({interval(ends.low, ends.high, '.2f')})"
    missing = (("m", own.missing), ("r", own.reference_missing))
    marks = [mark for mark, missed in missing if workload in missed]
    return Cell(" ".join([text, *marks]), value)
