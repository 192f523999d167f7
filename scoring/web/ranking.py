"""The leaderboard itself: scores, intervals, who is told apart from whom."""

from typing import Any

from scoring.leaderboard import leaderboard_rows
from scoring.report import interval
from scoring.score_report import ScoreReport
from scoring.web.look import COLOURS, MOST_SHOWN, marker, swatch
from scoring.web.markup import Cell, Column, Markup, el, join, listed, table

_BAR_WIDTH, _BAR_HEIGHT, _MIDDLE = 150, 26, 13
_RULE_PX = 10
# More runs of submissions than this are a tangle of rules: scores.json has them.
_MOST_GROUPS = 8
# What resamples, and the end of the keys in a row of the leaderboard.
_OVER = {"studies": "", "workloads": "_over_workloads"}


def headline(report: ScoreReport) -> str:
    """Who leads, by how much, and whether the studies are enough to say so."""
    entries = report.board.entries
    first = [entry.submission for entry in entries if entry.rank == 1]
    if entries[0].score == 0.0:
        return "No submission reached a target that counts."
    score = f"{entries[0].score:.4f}"
    if len(first) > 1:
        return f"{listed(first)} share the first place with a score of {score}."
    said = f"{first[0]} leads with a score of {score}"
    if len(entries) == 1:
        return f"{first[0]} has a score of {score}."
    if not report.over_studies:
        return f"{said}; with one study, nothing can be said about luck."
    own = report.over_studies[0].score
    said += f" (95\u00a0%: {interval(own.low, own.high, '.2f')})"
    apart = set(report.separated)
    near = [e.submission for e in entries[1:] if (first[0], e.submission) not in apart]
    if near:
        return f"{said}, but the studies do not tell it apart from {listed(near)}."
    return f"{said}, and the studies tell it apart from every other."


def leaderboard(report: ScoreReport) -> Markup:
    """The ranking, sortable, with the score and its intervals as bars."""
    rows = leaderboard_rows(report)
    columns = [
        (Column("rank"), [Cell(row["rank"]) for row in rows]),
        *_alike(report),
        (Column("score"), [Cell(f"{r['score']:.4f}", r["score"]) for r in rows]),
        (Column("from 0 to 1"), [_bar(*one) for one in enumerate(rows)]),
        *(_spread(rows) if report.over_studies else ()),
        *_costs(report, rows),
        (Column("reached"), [_reached(row) for row in rows]),
        (Column("ruleset"), [Cell(row["ruleset"], left=True) for row in rows]),
    ]
    names = [
        Cell(join([swatch(place), row["submission"]]), row["submission"])
        for place, row in enumerate(rows)
    ]
    header = ["submission", *(head for head, _ in columns)]
    lines = zip(names, *(cells for _, cells in columns), strict=True)
    return table(_caption(report), header, list(lines), sortable=True, class_="board")


_Columns = list[tuple[Column, list[Cell]]]


def _caption(report: ScoreReport) -> str:
    said = []
    if report.over_studies:
        said.append("95 %, ranks, P(first) and the whiskers come from resampling")
    if 0 < len(report.not_separated) <= _MOST_GROUPS:
        said.append("alike: one rule joins those that the studies do not tell apart")
    if report.reference:
        said.append(f"speed-up: over {report.reference}")
    if report.steps is not None:
        said.append("in steps: score and rank with steps for seconds")
    return "; ".join([*said, "reached: workloads with a time that counts"])


def choice(report: ScoreReport) -> Markup | None:
    """What the intervals are over: page.css shows the columns of one of them."""
    if not report.over_studies:
        return None
    texts = {"studies": "studies", "workloads": "studies and workloads"}
    buttons = [
        el(
            "label",
            el(
                "input",
                type="radio",
                name="over",
                id=f"over-{key}",
                checked=key == "studies",
            ),
            text,
        )
        for key, text in texts.items()
    ]
    return el("fieldset", el("legend", "Resampled:"), *buttons, class_="choice")


def _alike(report: ScoreReport) -> _Columns:
    """Rules beside the names, one a group: as in critical-difference diagrams."""
    groups = report.not_separated
    if not 0 < len(groups) <= _MOST_GROUPS:
        return []
    cells = []
    for name in report.board.submissions:
        own = [place for place, group in enumerate(groups) if name in group]
        rules = [
            el(
                "span",
                class_=_end(groups[place], name),
                style=f"left:{10 + _RULE_PX * place}px",
            )
            for place in own
        ]
        said = "group " + ", ".join(str(place + 1) for place in own) if own else ""
        text = el("span", said, class_="unseen")
        room = el("span", class_="room", style=f"width:{_RULE_PX * len(groups)}px")
        order = own[0] if own else len(groups)
        cells.append(Cell(join([text, room, *rules]), order, left=True))
    return [(Column("alike", "alike"), cells)]


def _end(group: tuple[str, ...], name: str) -> str | None:
    return {group[0]: "rule top", group[-1]: "rule end"}.get(name, "rule")


def _spread(rows: list[dict[str, Any]]) -> _Columns:
    """The columns that come from resampling, for either way of doing it."""
    found: _Columns = []
    for over, end in _OVER.items():
        class_ = f"of-{over}"
        for key, name, form in (("score", "95 %", ".2f"), ("rank", "ranks", "d")):
            low, high = f"{key}_low{end}", f"{key}_high{end}"
            cells = [Cell(interval(r[low], r[high], form), r[low]) for r in rows]
            found.append((Column(name, class_), cells))
        first = [r[f"rank_1{end}"] for r in rows]
        shares = [Cell(f"{share:.0%}", share, share=share) for share in first]
        found.append((Column("P(first)", class_), shares))
    return found


def _costs(report: ScoreReport, rows: list[dict[str, Any]]) -> _Columns:
    found: _Columns = []
    if report.reference is not None:
        found.append((Column("speed-up"), [_speedup(row) for row in rows]))
    if report.steps is not None:
        steps = [
            Cell(f"{r['steps_score']:.4f} ({r['steps_rank']})", r["steps_score"])
            for r in rows
        ]
        found.append((Column("in steps"), steps))
    return found


def _speedup(row: dict[str, Any]) -> Cell:
    ends = interval(row["speedup_low"], row["speedup_high"], ".2f")
    return Cell(f"{row['speedup']:.2f}× ({ends})", row["speedup"])


def _reached(row: dict[str, Any]) -> Cell:
    reached = row["workloads_reached"]
    return Cell(f"{reached} of {row['workloads']}", reached)


def _bar(place: int, row: dict[str, Any]) -> Cell:
    """A bar from 0 to the score, with a whisker for each way of resampling."""
    colour = f"c{place % COLOURS}"
    axis = [
        el("line", x1=_x(v), x2=_x(v), y1=3, y2=_BAR_HEIGHT - 3, class_="grid")
        for v in (0, 0.5, 1)
    ]
    bar = {"x": _x(0), "y": 8, "width": f"{_x(row['score']) - _x(0):.1f}", "height": 10}
    parts = [*axis, el("rect", class_=f"{colour} fill", **bar)]
    for over, end in _OVER.items():
        low, high = row[f"score_low{end}"], row[f"score_high{end}"]
        if low is not None:
            path = _whisker(_x(low), _x(high))
            parts.append(el("path", d=path, class_=f"whisker of-{over}"))
    parts.append(marker(place, _x(row["score"]), _MIDDLE))
    look = {"width": _BAR_WIDTH, "height": _BAR_HEIGHT, "aria_hidden": "true"}
    view = f"0 0 {_BAR_WIDTH} {_BAR_HEIGHT}"
    drawn = el("svg", *parts, viewBox=view, class_="bar", **look)
    return Cell(drawn, row["score"], left=True)


def _x(score: float) -> float:
    return 6 + (_BAR_WIDTH - 12) * score


def _whisker(low: float, high: float) -> str:
    cap = f"M{{0:.1f}},{_MIDDLE - 5}v10"
    return f"{cap.format(low)}{cap.format(high)}M{low:.1f},{_MIDDLE}H{high:.1f}"


def pairs(report: ScoreReport) -> Markup | None:
    """P(row scores higher than column), the best submissions; None for a single one."""
    shown = report.over_studies[:MOST_SHOWN]
    if len(shown) < 2:
        return None
    rows = []
    for own in shown:
        line: list[Any] = [own.submission]
        for other in shown:
            share = None if other is own else own.beats[other.submission]
            shown_share = "·" if share is None else f"{share:.0%}"
            line.append(Cell(shown_share, share, share=share))
        rows.append(line)
    header = ["the row beats", *(own.submission for own in shown)]
    caption = "P(the row scores higher than the column), over studies"
    if len(shown) < len(report.over_studies):
        caption += f"; the best {MOST_SHOWN}, scores.json has all"
    numbers = table(caption, header, rows, class_="pairs")
    few = len(shown) <= 6
    return el("details", el("summary", "Who beats whom"), numbers, open=few)
