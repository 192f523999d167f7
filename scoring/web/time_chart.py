"""Time to target: a strip per workload with a dot for every study."""

import math

from scoring.rules import WorkloadRule
from scoring.runtimes import StudyResult, WorkloadResult
from scoring.score_report import ScoreReport
from scoring.web.axes import Frame, axes, chart
from scoring.web.look import COLOURS, MOST_SHOWN, marker
from scoring.web.markup import Markup, el, join

_ROW = 17
_LONGEST_NAME = 24


def time_charts(report: ScoreReport) -> Markup:
    """A figure per workload, held-out ones last."""
    figures = [_figure(report, rule) for rule in report.board.rules.needed]
    return el("div", *figures, class_="strips")


def _figure(report: ScoreReport, rule: WorkloadRule) -> Markup:
    board = report.board
    names = board.submissions[:MOST_SHOWN]
    results = [board.runtimes.results[name, rule.name] for name in names]
    longest = max(
        (time for own in results for time in own.study_times_s if time < math.inf),
        default=0.0,
    )
    held_out = "" if rule in board.rules.workloads else " (held out)"
    sign = "≥" if rule.goal == "max" else "≤"
    caption = el(
        "figcaption",
        el("strong", rule.name),
        f"{held_out}: {rule.metric} {sign} {rule.validation_target:g}, budget "
        f"{rule.max_runtime_s:,.0f} s",
    )
    if longest == 0.0:
        return el("figure", caption, el("p", "Nobody reached the target."))
    height = _ROW * len(names) + 46
    frame = Frame(560, height, 0.0, longest * 1.05, 0.0, 1.0, left=150, right=70)
    rows = [_row(frame, place, own) for place, own in enumerate(results)]
    label = (
        f"Seconds to target on {rule.name}; the table of the medians has the numbers"
    )
    place = {"x": frame.width - 35, "y": frame.height - 20, "text_anchor": "middle"}
    missed = el("text", "missed", **place)
    drawn = chart(frame, label, axes(frame, "seconds"), missed, *rows)
    return el("figure", caption, drawn)


def _row(frame: Frame, place: int, result: WorkloadResult) -> Markup:
    y = frame.top + _ROW * (place + 0.5)
    name = result.submission
    shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    text = {"y": f"{y:.1f}", "dy": "0.35em"}
    parts = [el("text", shown, x=frame.left - 8, text_anchor="end", **text)]
    if result.framework is None:
        where = {"x": frame.width - 35, "text_anchor": "middle"}
        return join([*parts, el("text", "no logs", **where, **text)])
    colour = {"data_s": place, "class_": f"c{place % COLOURS}"}
    if math.isfinite(result.time_s):
        x = f"{frame.x(result.time_s):.1f}"
        title = el("title", f"{name}: median {result.time_s:,.1f} s")
        line = {"x1": x, "x2": x, "y1": y - 7, "y2": y + 7}
        look = colour | {"class_": f"{colour['class_']} median"}
        parts.append(el("line", title, **line, **look))
    missed = 0
    for study in result.studies:
        if study.fastest is None:
            title = el("title", f"{name}: study {study.study} missed the target")
            x = frame.width - 58 + 10 * missed
            cross = f"M{x - 3},{y - 3}l6,6m0,-6l-6,6"
            look = colour | {"class_": f"{colour['class_']} missed"}
            parts.append(el("path", title, d=cross, **look))
            missed += 1
        else:
            x = frame.x(study.fastest.time_s)
            # Equal times stay visible: each study has a height of its own.
            middle = (len(result.studies) - 1) / 2
            lift = (study.study - middle) * min(2.5, 8 / len(result.studies))
            parts.append(marker(place, x, y + lift, _about(name, study)))
    return join(parts)


def _about(name: str, study: StudyResult) -> str:
    reach = study.fastest
    assert reach is not None
    text = f"{name}, study {study.study}, trial {reach.trial}: {reach.time_s:,.1f} s"
    if reach.step is not None:
        text += f", step {reach.step:,}"
    text += f", {reach.value:.5g}"
    if reach.below is not None:
        text += f" (at {reach.below.time_s:,.1f} s: {reach.below.value:.5g})"
    return text
