"""What stands behind the ranking: sensitivity, tuning, health, rules."""

from collections.abc import Sequence
from typing import Any

from scoring.health import by_kind
from scoring.report import interval
from scoring.score_report import ScoreReport
from scoring.sensitivity import Summary
from scoring.speedup import BUDGET_SHARES, LOOSENED
from scoring.web.attempts import before, point_text
from scoring.web.line_chart import line_chart
from scoring.web.markup import Cell, Markup, el, folded, join, table

# So many pairs of one kind of variation are listed; scores.json has all.
_MOST_PAIRS = 6
# So many places of one kind of irregularity are listed; scores.json has all.
_MOST_PLACES = 8


def sensitivity(report: ScoreReport) -> Markup:
    """The worst of every kind of variation, and each submission's ranges."""
    found = report.sensitivity  # summed up anew at every look
    rows: list[list[Any]] = []
    for own in found:
        pairs = [f"{low} above {high}" for high, low in own.inversions]
        inverted = el("span", "; ".join(pairs[:_MOST_PAIRS]) or "none")
        if len(pairs) > _MOST_PAIRS:
            more = f"; {len(pairs) - _MOST_PAIRS:,} more in scores.json"
            inverted = join([inverted, more])
        change = own.largest.largest_change
        rows.append(
            [
                own.kind,
                Cell(own.count),
                Cell(f"{change:+.4f}", abs(change)),
                Cell(f"{own.largest.of}, {own.largest.what}", left=True),
                Cell(inverted, len(own.inversions), left=True),
            ]
        )
    header = ["variation", "tried", "largest change", "of, with", "ranks that invert"]
    worst = table("The largest change of a score, by kind", header, rows, sortable=True)
    return join([worst, folded("Range of every score", _ranges(report, found))])


def _ranges(report: ScoreReport, found: Sequence[Summary]) -> Markup:
    rows = []
    for name, score in report.scores.items():
        cells = [Cell(f"{score:.4f}", score)]
        for own in found:
            low, high = own.score_ranges.get(name, (None, None))
            ranks = interval(*own.rank_ranges.get(name, (None, None)), "d")
            cells.append(Cell(f"{interval(low, high, '.2f')} (rank {ranks})", low))
        rows.append([name, *cells])
    header = ["submission", "score", *(own.kind for own in found)]
    return table("Lowest to highest score (and rank)", header, rows, sortable=True)


def runlength(report: ScoreReport) -> Markup:
    """The share of targets reached within a share of the budget."""
    lines = [(own.submission, BUDGET_SHARES, own.profile) for own in report.runlengths]
    drawn = line_chart(
        "Runlength profiles; the table has the shares reached in the end",
        "share of the budget",
        "share of targets reached",
        lines,
    )
    rows = [
        [
            own.submission,
            *(Cell(f"{share:.0%}", share, share=share) for share in own.reached),
        ]
        for own in report.runlengths
    ]
    header = ["submission", "target", *(f"{share:.0%}" for share in LOOSENED[1:])]
    caption = (
        "Share of workloads and studies that reached the target, and the target made "
        "easier by so much"
    )
    return el("div", drawn, table(caption, header, rows, sortable=True), class_="pair")


def tuning(report: ScoreReport) -> Markup:
    """Expected score with fewer tuning trials, and the trials that won."""
    lines = [
        (own.submission, list(range(1, len(own.scores) + 1)), own.scores)
        for own in report.tuning_curves
    ]
    parts = []
    if any(len(scores) > 1 for _, _, scores in lines):
        label = "Expected score by number of tuning trials"
        parts.append(line_chart(label, "tuning trials", "expected score", lines, True))
    most = max(len(own.scores) for own in report.tuning_curves)
    rows = []
    for own in report.tuning_curves:
        cells = [Cell(f"{score:.4f}", score) for score in own.scores]
        rows.append([own.submission, *cells, *[Cell("-")] * (most - len(cells))])
    caption = "Expected score with so many tuning trials, the others keeping theirs"
    header = ["submission", *map(str, range(1, most + 1))]
    parts.append(table(caption, header, rows, sortable=True))
    return join([el("div", *parts, class_="pair"), _winners(report)])


def _winners(report: ScoreReport) -> Markup | None:
    rows = []
    for own in report.winners:
        reach, point = own.reach, own.hyperparameters
        shown = "not in the logs" if point is None else point_text(point)
        rows.append(
            [
                own.submission,
                Cell(own.workload, left=True),
                Cell(own.study),
                Cell(reach.trial),
                Cell(f"{reach.time_s:,.1f}"),
                Cell("-" if reach.step is None else f"{reach.step:,}"),
                Cell(before(reach) or "-", left=True),
                Cell(shown, left=True),
            ]
        )
    if not rows:
        return None
    header = ["submission", "workload", "study", "trial", "seconds", "step"]
    header += ["evaluation before", "hyperparameters"]
    caption = "The fastest trial of every study that reached the target"
    numbers = table(caption, header, rows, sortable=True, class_="winners")
    return folded(f"Trials that won ({len(rows):,})", numbers)


def health(report: ScoreReport) -> Markup:
    """Every kind of irregularity with its effect, and where it is."""
    rows = []
    for (effect, what), notes in by_kind(report.board.notes).items():
        places = [
            f"{note.where}: {note.detail}" if note.detail else note.where
            for note in notes[:_MOST_PLACES]
        ]
        if len(notes) > _MOST_PLACES:
            places.append(f"and {len(notes) - _MOST_PLACES:,} more, in scores.json")
        listed = el("ul", *(el("li", place) for place in places))
        where = el("details", el("summary", notes[0].where), listed)
        count = Cell(f"{len(notes):,}", len(notes))
        # What changed a score is not to be overlooked.
        said = effect if effect == "nothing" else el("span", effect, class_="bad")
        rows.append(
            [what, count, Cell(said, effect, left=True), Cell(where, left=True)]
        )
    if not rows:
        return el("p", "Nothing odd in the logs.")
    caption = "What is odd in the logs, and what it did to the score"
    return table(caption, ["what", "count", "effect", "where"], rows, sortable=True)


def rules(report: ScoreReport, made_with: dict[str, str]) -> Markup:
    """The rules, and the versions of what computed this."""
    own = report.board.rules
    rulesets = sorted(set(report.board.logs.rulesets.values()))
    rows = []
    for rule in own.needed:
        sign = "≥" if rule.goal == "max" else "≤"
        held_out = "" if rule in own.workloads else f"held out, guards {rule.base}"
        budgets = [own.budget_s(rule, ruleset) for ruleset in rulesets]
        rows.append(
            [
                rule.name,
                Cell(rule.metric, left=True),
                Cell(f"{sign} {rule.validation_target:g}", rule.validation_target),
                *(Cell(f"{budget:,.0f}", budget) for budget in budgets),
                Cell(held_out, left=True),
            ]
        )
    budgets = [f"budget, s ({ruleset})" for ruleset in rulesets]
    header = ["workload", "metric", "target", *budgets, "scored"]
    if not own.held_out:
        header, rows = header[:-1], [row[:-1] for row in rows]
    versions = ", ".join(f"{name} {version}" for name, version in made_with.items())
    return join(
        [
            table(f"Rules {own.name}", header, rows),
            el("p", f"Made with {versions}.", class_="small"),
        ]
    )
