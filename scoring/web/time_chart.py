"""Time to target: a strip per workload with a dot for every study."""

import math

from scoring.rules import WorkloadRule
from scoring.runtimes import StudyResult, WorkloadResult
from scoring.score_report import ScoreReport
from scoring.web.attempts import WinnerRows, about_reach, shown_trial, winner_rows
from scoring.web.axes import Frame, axes, chart
from scoring.web.look import MOST_SHOWN, series, shape
from scoring.web.markup import Markup, el

_ROW = 20
_LONGEST_NAME = 22
# Room at the right for the studies that missed the target.
_MISSED = 64
# With all dots this far from the budget, the axis ends before it.
_FAR = 0.4


def time_charts(report: ScoreReport) -> Markup:
    """A figure per workload, held-out ones last."""
    winners = winner_rows(report)
    figures = [_figure(report, rule, winners) for rule in report.board.rules.needed]
    return el("div", *figures, class_="strips")


def _figure(report: ScoreReport, rule: WorkloadRule, winners: WinnerRows) -> Markup:
    board = report.board
    names = board.submissions[:MOST_SHOWN]
    results = [board.runtimes.results[name, rule.name] for name in names]
    budgets = {board.rules.budget_s(rule, board.logs.rulesets[name]) for name in names}
    frame = _frame(results, max(budgets))
    rows = [_row(frame, *one, rule, winners) for one in enumerate(results)]
    label = f"Seconds to target on {rule.name}; the tables have the numbers"
    edge = frame.width - _MISSED
    # The band of those that missed: not a place on the axis of seconds.
    band = {"x": edge + 4, "width": _MISSED - 8, "y": frame.top, "class_": "band"}
    missed = {"x": edge + _MISSED / 2, "y": frame.height - 4}
    drawn = chart(
        frame,
        label,
        el("rect", height=_ROW * len(names), **band),
        axes(frame, "seconds"),
        *(_budget(frame, own) for own in sorted(budgets) if own <= frame.x_high),
        el("text", "missed", text_anchor="middle", **missed),
        *rows,
    )
    return el("figure", _caption(report, rule), drawn)


def _caption(report: ScoreReport, rule: WorkloadRule) -> Markup:
    sign = "≥" if rule.goal == "max" else "≤"
    base = None if rule in report.board.rules.workloads else rule.base
    tag = None if base is None else el("span", f"held out, guards {base}", class_="tag")
    said = f" {rule.metric} {sign} {rule.validation_target:g} "
    return el("figcaption", el("strong", rule.name), said, tag)


def _frame(results: list[WorkloadResult], budget_s: float) -> Frame:
    times = [time for own in results for time in own.study_times_s]
    longest = max((time for time in times if time < math.inf), default=budget_s)
    right = budget_s if longest > _FAR * budget_s else longest
    name = max(len(_cut(own.submission)) for own in results)
    return Frame(
        530,
        _ROW * len(results) + 48,
        0.0,
        right * 1.04,
        0.0,
        1.0,
        left=max(40, 16 + round(7.6 * name)),
        right=_MISSED,
    )


def _budget(frame: Frame, budget_s: float) -> Markup:
    x = f"{frame.x(budget_s):.1f}"
    title = el("title", f"budget {budget_s:,.0f} s")
    bottom = frame.height - frame.bottom
    return el("line", title, x1=x, x2=x, y1=frame.top, y2=bottom, class_="target")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _row(
    frame: Frame,
    place: int,
    result: WorkloadResult,
    rule: WorkloadRule,
    winners: WinnerRows,
) -> Markup:
    y = frame.top + _ROW * (place + 0.5)
    name = result.submission
    text = {"y": f"{y:.1f}", "dy": "0.35em"}
    parts = [el("text", _cut(name), x=frame.left - 8, text_anchor="end", **text)]
    if result.framework is None:
        where = {"x": frame.width - _MISSED / 2, "text_anchor": "middle"}
        return series(place, name, *parts, el("text", "no logs", **where, **text))
    edge = frame.width - _MISSED
    parts.append(el("path", d=f"M{frame.left},{y}H{edge}", class_="grid"))
    if math.isfinite(result.time_s):
        # Higher than the row of dots, so that it is seen behind them.
        title = el("title", f"median {result.time_s:,.1f} s")
        line = f"M{frame.x(result.time_s):.1f},{y - 9}v18"
        parts.append(el("path", title, d=line, class_="median"))
    missed = [own for own in result.studies if own.fastest is None]
    gap = min(10.0, (_MISSED - 16) / max(1, len(missed)))
    first = edge + _MISSED / 2 - gap * (len(missed) - 1) / 2
    parts += [
        _cross(first + gap * count, y, study, rule)
        for count, study in enumerate(missed)
    ]
    for study in result.studies:
        if study.fastest is not None:
            # Equal times stay visible: each study has a height of its own.
            middle = (len(result.studies) - 1) / 2
            lift = (study.study - middle) * min(3.0, 9 / len(result.studies))
            title = about_reach(study.study, study.fastest)
            row = winners.get((name, rule.name, study.study))
            x = frame.x(study.fastest.time_s)
            parts.append(shape(place, x, y + lift, title, data_w=row))
    return series(place, name, *parts)


def _cross(x: float, y: float, study: StudyResult, rule: WorkloadRule) -> Markup:
    shown = shown_trial(study, rule)
    text = f"study {study.study} missed; no evaluation counts"
    title = el("title", text if shown is None else shown.text)
    cross = f"M{x - 3:.1f},{y - 3}l6,6m0,-6l-6,6"
    return el("path", title, d=cross, class_="missed")
