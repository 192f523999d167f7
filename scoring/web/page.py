"""Puts leaderboard.html together."""

import base64
import hashlib
from importlib import resources

from scoring.document import made_with
from scoring.remarks import notes, warnings
from scoring.score_report import ScoreReport
from scoring.web import details, medians, ranking
from scoring.web.clock import clock
from scoring.web.curve_chart import curve_charts
from scoring.web.look import MOST_SHOWN, legend
from scoring.web.markup import Markup, el, folded, join, section
from scoring.web.profile_chart import profile_chart
from scoring.web.time_chart import time_charts

# Anchor, title, and how to read it.
_PARTS = {
    "profiles": (
        "Performance profiles",
        "On how large a share of the workloads a submission is within τ times the best "
        "time there. The score is the mean height of a line.",
    ),
    "times": (
        "Time to target",
        "A dot for every study, its fastest trial; the upright line is their median, "
        "which counts; the dashed line is the budget. Crosses are studies that missed "
        "the target.",
    ),
    "curves": (
        "Training curves",
        "For every study its fastest trial up to its end, or the one that came "
        "nearest. The dashed line is the target, a dot where it was reached. The first "
        "evaluations may lie beyond the edge.",
    ),
    "speed": (
        "Independent of the field",
        "A score depends on who else is ranked. What follows does not: speed-ups over "
        "a reference, and the share of targets (the rules' and easier ones) reached "
        "within a share of the budget.",
    ),
    "tuning": (
        "Tuning",
        "What a smaller tuning budget would have given, and which trials won.",
    ),
    "clock": (
        "Where the seconds went",
        "Studies should run on equal machines: then seconds per step agree.",
    ),
    "sensitivity": (
        "What the scores hang on",
        "The same logs, scored by rules a little different.",
    ),
    "health": ("Health of the logs", None),
    "rules": ("Rules and versions", None),
}


# Longer warnings are folded.
_LONG_WARNING = 400


def render_page(report: ScoreReport) -> str:
    """The whole page: one file that loads nothing."""
    style = _resource("page.css")
    script = _resource("page.js")
    title = f"Leaderboard: {report.source}"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        el("meta", name="color-scheme", content="light dark"),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", Markup(style)),
    )
    body = el(
        "body", _skip(), _top(report), _main(report), el("script", Markup(script))
    )
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _resource(name: str) -> str:
    return resources.files("scoring.web").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing is fetched, and no script runs but our own."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"base-uri 'none'; form-action 'none'; script-src 'sha256-{digest}'"
    )


def _skip() -> Markup:
    return el("a", "Skip to the leaderboard", href="#leaderboard", class_="skip")


def _top(report: ScoreReport) -> Markup:
    rules = report.board.rules
    what = (
        f"{report.source}, rules {rules.name}: "
        f"{_many(len(report.board.submissions), 'submission', 'submissions')}, "
        f"{_many(len(rules.names), 'workload', 'workloads')}, "
        f"{_many(rules.studies, 'study', 'studies')}."
    )
    links = [el("a", title, href=f"#{a}") for a, (title, _) in _PARTS.items()]
    return el(
        "header",
        el("h1", "Leaderboard"),
        el("p", what, class_="lead"),
        el("nav", *links, aria_label="Parts of this page"),
    )


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _main(report: ScoreReport) -> Markup:
    names = list(report.board.submissions[:MOST_SHOWN])
    return el(
        "main",
        _leaderboard(report),
        el(
            "div",
            legend(names),
            _only_the_best(report),
            class_="bar-of-names",
        ),
        _part("profiles", profile_chart(report.board)),
        _part("times", time_charts(report), medians.times(report)),
        _part("curves", curve_charts(report)),
        _part("speed", medians.speedups(report), details.runlength(report)),
        _part("tuning", details.tuning(report)),
        _part("clock", clock(report)),
        _part("sensitivity", details.sensitivity(report)),
        _part("health", details.health(report)),
        _part("rules", details.rules(report, made_with()), _notes(report)),
    )


def _part(anchor: str, *children: Markup | None) -> Markup:
    title, text = _PARTS[anchor]
    said = None if text is None else el("p", text)
    return section(anchor, title, said, *children)


def _leaderboard(report: ScoreReport) -> Markup:
    found = [_warning(text) for text in warnings(report)]
    said = (
        "A score is the mean share of workloads on which a submission needs at most τ "
        "times the best time, over τ from 1 to "
        f"{report.board.rules.tau_max:g}: 1 is fastest everywhere."
    )
    return el(
        "section",
        el("p", ranking.headline(report), class_="headline"),
        el("p", said),
        *found,
        ranking.choice(report),
        ranking.leaderboard(report),
        ranking.pairs(report),
        id="leaderboard",
        aria_label="Leaderboard",
    )


def _warning(text: str) -> Markup:
    if len(text) <= _LONG_WARNING:
        return el("p", text, class_="warning")
    # It names hundreds of submissions: the ranking should not be pages below.
    start = text[:_LONG_WARNING].rpartition(" ")[0]
    return el("div", el("p", f"{start} …"), folded("All of it", text), class_="warning")


def _only_the_best(report: ScoreReport) -> Markup | None:
    count = len(report.board.submissions)
    if count <= MOST_SHOWN:
        return None
    text = f"Charts show the best {MOST_SHOWN} of {count} submissions; tables have all."
    return el("p", text, class_="small")


def _notes(report: ScoreReport) -> Markup:
    return join([el("h3", "Notes"), el("ul", *(el("li", n) for n in notes(report)))])
