"""Time to target: a strip per workload with a dot for every study."""

import math

from scoring.rules import WorkloadRule
from scoring.runtimes import StudyResult, WorkloadResult
from scoring.score_report import ScoreReport
from scoring.web.axes import Frame, axes, chart
from scoring.web.look import MOST_SHOWN, marker
from scoring.web.markup import Markup, el, join
from scoring.winners import Winner

_ROW = 17
_LONGEST_NAME = 24
# A longer list of hyperparameters than this does not help on hovering.
_MOST_SHOWN_HYPERPARAMETERS = 8


def time_charts(report: ScoreReport) -> Markup:
    """A figure per workload, held-out ones last."""
    winners = {(own.submission, own.workload, own.study): own for own in report.winners}
    figures = [_figure(report, rule, winners) for rule in report.board.rules.needed]
    return el("div", *figures, class_="strips")


def _figure(
    report: ScoreReport,
    rule: WorkloadRule,
    winners: dict[tuple[str, str, int], Winner],
) -> Markup:
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
    rows = [_row(frame, place, own, rule, winners) for place, own in enumerate(results)]
    label = (
        f"Seconds to target on {rule.name}; the table of the medians has the numbers"
    )
    missed = el("text", "missed", x=frame.width - 35, y=frame.height - 20)
    drawn = chart(frame, label, axes(frame, "seconds"), missed, *rows)
    return el("figure", caption, drawn)


def _row(
    frame: Frame,
    place: int,
    result: WorkloadResult,
    rule: WorkloadRule,
    winners: dict[tuple[str, str, int], Winner],
) -> Markup:
    y = frame.top + _ROW * (place + 0.5)
    name = result.submission
    shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    parts = [
        el(
            "text",
            shown,
            x=frame.left - 8,
            y=f"{y:.1f}",
            dy="0.35em",
            text_anchor="end",
        )
    ]
    if math.isfinite(result.time_s):
        x = f"{frame.x(result.time_s):.1f}"
        title = el("title", f"{name}: median {result.time_s:,.1f} s")
        look = {"class_": f"c{place % 8} median", "data_s": place}
        parts.append(el("line", title, x1=x, x2=x, y1=y - 7, y2=y + 7, **look))
    if result.framework is None:
        text = {"x": frame.width - 35, "y": f"{y:.1f}", "dy": "0.35em"}
        return join([*parts, el("text", "no logs", text_anchor="middle", **text)])
    gone = 0
    for study in result.studies:
        if study.fastest is None:
            x = frame.width - 58 + 10 * gone
            gone += 1
            title = el("title", f"{name}: study {study.study} missed the target")
            look = {"class_": f"c{place % 8} missed", "data_s": place}
            cross = f"M{x - 3},{y - 3}l6,6m0,-6l-6,6"
            parts.append(el("path", title, d=cross, **look))
        else:
            x = frame.x(study.fastest.time_s)
            winner = winners.get((name, rule.name, study.study))
            parts.append(marker(place, x, y, _about(name, study, winner)))
    return join(parts)


def _about(name: str, study: StudyResult, winner: Winner | None) -> str:
    reach = study.fastest
    assert reach is not None
    text = f"{name}, study {study.study}, trial {reach.trial}: {reach.time_s:,.1f} s"
    if reach.step is not None:
        text += f", step {reach.step:,}"
    text += f", {reach.value:.5g}"
    if reach.below is not None:
        text += f" (at {reach.below.time_s:,.1f} s: {reach.below.value:.5g})"
    if winner is not None and winner.hyperparameters:
        text += "; " + shown_point(winner.hyperparameters)
    return text


def shown_point(hyperparameters: dict) -> str:
    """'learning_rate 0.00131, beta2 0.998'."""
    items = list(hyperparameters.items())
    shown = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in items[:_MOST_SHOWN_HYPERPARAMETERS]
    )
    return shown + (", ..." if len(items) > _MOST_SHOWN_HYPERPARAMETERS else "")
