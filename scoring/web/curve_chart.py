"""Training curves: the validation metric against submission seconds."""

import numpy as np

from scoring.rows import EvalRows
from scoring.rules import WorkloadRule
from scoring.runtimes import StudyResult
from scoring.score_report import ScoreReport
from scoring.web.axes import Frame, axes, chart, clipped, polyline, thinned
from scoring.web.look import MOST_SHOWN, style
from scoring.web.markup import Markup, el

_POINTS = 30
# The worst share of all values is cut off above or below: the first evaluations are far
# from the target, and would press everything else flat.
_CUT_SHARE = 0.3

_Curve = tuple[int, str, int, EvalRows]  # place, submission, study, rows


def curve_charts(report: ScoreReport) -> Markup:
    """A figure per scored workload: for every study its fastest trial, or the best."""
    figures = [_figure(report, rule) for rule in report.board.rules.workloads]
    return el("div", *figures, class_="curves")


def _figure(report: ScoreReport, rule: WorkloadRule) -> Markup:
    curves = _curves(report, rule)
    caption = el("figcaption", el("strong", rule.name), f": {rule.metric}")
    if not curves:
        return el("figure", caption, el("p", "No evaluations in the logs."))
    frame = _frame(curves, rule)
    lines = [
        el(
            "polyline",
            el("title", f"{name}, study {study}"),
            points=polyline(frame, rows.time_s.tolist(), rows.value.tolist()),
            class_=f"line thin {look.pop('class_')}",
            **look,
        )
        for place, name, study, rows in curves
        for look in (dict(style(place)),)
    ]
    y = f"{frame.y(rule.validation_target):.1f}"
    edge = frame.width - frame.right
    sign = "≥" if rule.goal == "max" else "≤"
    target = f"target {sign} {rule.validation_target:g}"
    return el(
        "figure",
        caption,
        chart(
            frame,
            f"{rule.metric} over time on {rule.name}; the dashed line is the target",
            axes(frame, "seconds", rule.metric),
            clipped(frame, *lines),
            el("line", x1=frame.left, x2=edge, y1=y, y2=y, class_="target"),
            el("text", target, x=edge, y=y, dy="-0.4em", text_anchor="end"),
        ),
    )


def _curves(report: ScoreReport, rule: WorkloadRule) -> list[_Curve]:
    found: list[_Curve] = []
    for place, name in enumerate(report.board.submissions[:MOST_SHOWN]):
        for study in report.board.runtimes.results[name, rule.name].studies:
            rows = _shown_trial(study, rule)
            if rows is not None:
                found.append((place, name, study.study, rows))
    return found


def _shown_trial(study: StudyResult, rule: WorkloadRule) -> EvalRows | None:
    """The rows of the fastest trial, else of the one that came nearest."""
    with_rows = [own for own in study.attempts if len(own.best_so_far)]
    if not with_rows:
        return None
    if study.fastest is not None:
        chosen = next(own for own in with_rows if own.reach is study.fastest)
    else:
        sign = 1 if rule.goal == "max" else -1
        chosen = max(with_rows, key=lambda own: sign * own.best_so_far.value[-1])
    rows = chosen.trial.rows
    usable = rows.keep(np.isfinite(rows.value) & (rows.time_s > 0))
    reached = [] if study.fastest is None else [study.fastest.row]
    kept = np.flatnonzero(np.isin(usable.row, reached)).tolist()
    return usable.keep(thinned(len(usable), _POINTS, kept))


def _frame(curves: list[_Curve], rule: WorkloadRule) -> Frame:
    values = np.concatenate([rows.value for *_, rows in curves])
    longest = max(float(rows.time_s.max()) for *_, rows in curves)
    cut = _CUT_SHARE if rule.goal == "max" else 1 - _CUT_SHARE
    ends = [float(np.quantile(values, cut)), rule.validation_target]
    ends.append(float(values.max() if rule.goal == "max" else values.min()))
    pad = 0.08 * (max(ends) - min(ends)) or 0.05 * abs(rule.validation_target) or 1.0
    return Frame(
        380, 230, 0.0, longest, min(ends) - pad, max(ends) + pad, left=62, top=12
    )
