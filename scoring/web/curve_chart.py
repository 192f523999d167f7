"""Training curves: the validation metric against submission seconds."""

from typing import NamedTuple

import numpy as np

from scoring.reach import Reach
from scoring.rows import EvalRow, EvalRows
from scoring.rules import WorkloadRule
from scoring.score_report import ScoreReport
from scoring.web.attempts import shown_trial
from scoring.web.axes import FINE, Frame, axes, chart, clipped, thinned, traced
from scoring.web.look import MOST_SHOWN, dashes, series
from scoring.web.markup import Markup, el, join, listed

_POINTS = 25
# The worst share of all values is cut off above or below: the first evaluations are far
# from the target, and would press everything else flat.
_CUT_SHARE = 0.3


class _Curve(NamedTuple):
    """The trial that stands for a study; `reached` is where it met the target."""

    text: str
    rows: EvalRows
    reached: EvalRow | None


# By place on the leaderboard; a submission without evaluations has none.
_Curves = list[tuple[int, str, list[_Curve]]]


def curve_charts(report: ScoreReport) -> Markup:
    """A figure per workload: for every study its fastest trial, or the nearest."""
    rules = report.board.rules
    scored = [_figure(report, rule) for rule in rules.workloads]
    held_out = [_figure(report, rule) for rule in rules.held_out]
    parts = [el("div", *scored, class_="curves")]
    if held_out:
        parts.append(el("h3", "Held-out workloads"))
        parts.append(el("div", *held_out, class_="curves"))
    return join(parts)


def _figure(report: ScoreReport, rule: WorkloadRule) -> Markup:
    curves = _curves(report, rule)
    every = [curve for *_, own in curves for curve in own]
    caption = el("figcaption", el("strong", rule.name), f" {rule.metric}")
    if not every:
        return el("figure", caption, el("p", "No evaluations in the logs."))
    frame = _frame(every, rule)
    lines = [
        series(
            place,
            name,
            *(_line(frame, curve) for curve in own),
            class_="thin",
            stroke_dasharray=dashes(place),
        )
        for place, name, own in curves
        if own
    ]
    y = f"{frame.y(rule.validation_target):.1f}"
    left, right = frame.left, frame.width - frame.right
    sign = "≥" if rule.goal == "max" else "≤"
    target = f"target {sign} {rule.validation_target:g}"
    drawn = chart(
        frame,
        f"{rule.metric} over time on {rule.name}; the dashed line is the target",
        axes(frame, "seconds", ""),
        clipped(frame, *lines),
        el("line", x1=left, x2=right, y1=y, y2=y, class_="target"),
        # At the left: there the curves are still far from the target.
        el("text", target, x=left + 4, y=y, dy="-0.4em", class_="on-lines"),
    )
    return el("figure", caption, drawn, _unseen(frame, curves))


def _curves(report: ScoreReport, rule: WorkloadRule) -> _Curves:
    found: _Curves = []
    for place, name in enumerate(report.board.submissions[:MOST_SHOWN]):
        own = []
        for study in report.board.runtimes.results[name, rule.name].studies:
            shown = shown_trial(study, rule)
            if shown is not None:
                rows = shown.attempt.trial.rows
                own.append(_curve(shown.text, rows, shown.attempt.reach))
        found.append((place, name, own))
    return found


def _curve(text: str, rows: EvalRows, reach: Reach | None) -> _Curve:
    usable = rows.keep(np.isfinite(rows.value) & (rows.time_s > 0))
    if reach is None:
        return _Curve(text, usable.keep(thinned(len(usable), _POINTS)), None)
    at = np.flatnonzero(usable.row == reach.row).tolist()
    kept = usable.keep(thinned(len(usable), _POINTS, at))
    return _Curve(text, kept, usable[at[0]])


def _line(frame: Frame, curve: _Curve) -> Markup:
    rows = curve.rows
    path = el(
        "path",
        el("title", curve.text),
        d=traced(frame, rows.time_s.tolist(), rows.value.tolist()),
    )
    if curve.reached is None:
        return path
    x, y = frame.x(curve.reached.time_s), frame.y(curve.reached.value)
    where = {"cx": round(FINE * x), "cy": round(FINE * y), "r": FINE * 2.5}
    return join([path, el("circle", **where)])


def _frame(curves: list[_Curve], rule: WorkloadRule) -> Frame:
    values = np.concatenate([curve.rows.value for curve in curves])
    longest = max(float(curve.rows.time_s.max()) for curve in curves)
    cut = _CUT_SHARE if rule.goal == "max" else 1 - _CUT_SHARE
    ends = [float(np.quantile(values, cut)), rule.validation_target]
    ends.append(float(values.max() if rule.goal == "max" else values.min()))
    pad = 0.08 * (max(ends) - min(ends)) or 0.05 * abs(rule.validation_target) or 1.0
    return Frame(360, 240, 0.0, longest, min(ends) - pad, max(ends) + pad, left=58)


def _unseen(frame: Frame, curves: _Curves) -> Markup | None:
    """Who has no line in the plotting area, so that nobody is looked for in vain."""

    def seen(curve: _Curve) -> bool:
        values = curve.rows.value
        inside = (frame.y_low <= values) & (values <= frame.y_high)
        # Of a single evaluation there is no line.
        return len(values) > 1 and bool(inside.any())

    out = [name for _, name, own in curves if not any(map(seen, own))]
    why = "far from the target, or no more than one evaluation"
    text = f"Not in view ({why}): {listed(out)}."
    return el("p", text, class_="small") if out else None
