"""What stands behind the ranking: sensitivity, tuning, clocks, health, rules."""

from typing import Any

from scoring.health import by_kind
from scoring.report import interval
from scoring.score_report import ScoreReport
from scoring.speedup import BUDGET_SHARES, LOOSENED
from scoring.web.line_chart import line_chart
from scoring.web.markup import Cell, Markup, el, folded, join, table

# A longer list of hyperparameters than this is cut.
_MOST_HYPERPARAMETERS = 10
# So many places of one kind of irregularity are listed; scores.json has all.
_MOST_PLACES = 8


def sensitivity(report: ScoreReport) -> Markup:
    """The worst of every kind of variation, and each submission's ranges."""
    rows: list[list[Any]] = []
    for own in report.sensitivity:
        inverted = "; ".join(f"{low} above {high}" for high, low in own.inversions)
        change = own.largest.largest_change
        rows.append(
            [
                own.kind,
                Cell(own.count, own.count),
                Cell(f"{change:+.4f}", abs(change)),
                Cell(f"{own.largest.of}, {own.largest.what}", left=True),
                Cell(inverted or "none", len(own.inversions), left=True),
            ]
        )
    header = ["variation", "tried", "largest change", "of, with", "ranks that invert"]
    worst = table("The largest change of a score, by kind", header, rows, sortable=True)
    return join([worst, folded("Range of every score", _ranges(report))])


def _ranges(report: ScoreReport) -> Markup:
    rows = []
    for name in report.board.submissions:
        cells = []
        for own in report.sensitivity:
            low, high = own.score_ranges.get(name, (None, None))
            ranks = interval(*own.rank_ranges.get(name, (None, None)), "d")
            cells.append(Cell(f"{interval(low, high, '.2f')} (rank {ranks})", low))
        rows.append([name, *cells])
    header = ["submission", *(own.kind for own in report.sensitivity)]
    return table("Lowest to highest score (and rank)", header, rows, sortable=True)


def runlength(report: ScoreReport) -> Markup:
    """The share of targets reached within a share of the budget."""
    lines = [(own.submission, BUDGET_SHARES, own.profile) for own in report.runlengths]
    drawn = line_chart(
        "Runlength profiles; the table beside has the shares reached in the end",
        "share of the budget",
        "share of targets reached",
        lines,
    )
    rows = [
        [own.submission, *(Cell(f"{share:.0%}", share) for share in own.reached)]
        for own in report.runlengths
    ]
    header = ["submission", *(f"{share:.0%} easier" for share in LOOSENED)]
    header[1] = "the target"
    caption = "Share of workloads and studies that reached a target made easier"
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
        rows.append([own.submission, *cells, *[Cell("")] * (most - len(cells))])
    caption = "Expected score with so many tuning trials, the others keeping theirs"
    header = ["submission", *map(str, range(1, most + 1))]
    parts.append(table(caption, header, rows, sortable=True))
    return join([el("div", *parts, class_="pair"), _winners(report)])


def _winners(report: ScoreReport) -> Markup:
    rows = []
    for own in report.winners:
        point = own.hyperparameters
        shown = "not in the logs" if point is None else _shown(point)
        rows.append(
            [
                own.submission,
                Cell(own.workload, left=True),
                own.study,
                own.reach.trial,
                Cell(f"{own.reach.time_s:,.1f}", own.reach.time_s),
                Cell(shown, left=True),
            ]
        )
    header = ["submission", "workload", "study", "trial", "seconds", "hyperparameters"]
    caption = "The fastest trial of every study that reached the target"
    return folded("Trials that won", table(caption, header, rows, sortable=True))


def _shown(hyperparameters: dict) -> str:
    """'learning_rate 0.00131, beta2 0.998'."""
    items = list(hyperparameters.items())
    shown = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in items[:_MOST_HYPERPARAMETERS]
    )
    return shown + (", ..." if len(items) > _MOST_HYPERPARAMETERS else "")


def clock(report: ScoreReport) -> Markup:
    """Seconds per step and shares of the clock."""
    splits = {(own.submission, own.workload): own for own in report.clock_splits}
    paces = {(own.submission, own.workload): own for own in report.paces}
    rows = []
    for key in report.board.runtimes.results:
        pace, split = paces.get(key), splits.get(key)
        if split is None:
            continue
        spread: Any = "-"
        if pace is not None:
            spread = f"{pace.spread:.2f}×"
            if pace.uneven:
                spread = el("strong", spread, " uneven", class_="bad")
        middle = None if pace is None else sorted(pace.by_study.values())
        per_step = None if middle is None else middle[len(middle) // 2]
        shares = (split.evaluation, split.logging, split.compile, split.data_wait)
        rows.append(
            [
                key[0],
                Cell(key[1], left=True),
                Cell("-" if per_step is None else f"{per_step:.4g}", per_step),
                Cell(spread, None if pace is None else pace.spread),
                *(_share(share) for share in shares),
            ]
        )
    header = ["submission", "workload", "s per step", "spread over studies"]
    header += ["evaluation", "logging", "compile", "data wait"]
    caption = (
        "Median seconds per step; evaluation and logging as shares of all seconds, "
        "compile and data wait of the charged ones; - where the logs do not say"
    )
    return table(caption, header, rows, sortable=True)


def _share(share: float | None) -> Cell:
    return Cell("-" if share is None else f"{share:.1%}", share)


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
        rows.append(
            [what, count, Cell(effect, effect, left=True), Cell(where, left=True)]
        )
    if not rows:
        return el("p", "Nothing odd in the logs.")
    caption = "What is odd in the logs, and what it did to the score"
    return table(caption, ["what", "count", "effect", "where"], rows, sortable=True)


def rules(report: ScoreReport, made_with: dict[str, str]) -> Markup:
    """The rules, and the versions of what computed this."""
    own = report.board.rules
    rows = []
    for rule in own.needed:
        sign = "≥" if rule.goal == "max" else "≤"
        held_out = "" if rule in own.workloads else f"held out, guards {rule.base}"
        rows.append(
            [
                rule.name,
                Cell(f"{rule.metric} {sign} {rule.validation_target:g}", left=True),
                Cell(f"{rule.max_runtime_s:,.0f}", rule.max_runtime_s),
                Cell(held_out, left=True),
            ]
        )
    header = ["workload", "target", "budget, s", ""]
    versions = ", ".join(f"{name} {version}" for name, version in made_with.items())
    return join(
        [
            table(f"Rules {own.name}", header, rows),
            el("p", f"Made with {versions}.", class_="small"),
        ]
    )
