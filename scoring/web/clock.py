"""Where the seconds went: per step, and besides training."""

from statistics import median

from scoring.pace import ClockSplit, Pace
from scoring.score_report import ScoreReport
from scoring.web.markup import Cell, Markup, el, join, table

# The shares of the clock, and what each is a share of.
_ALL = ("evaluation", "logging")
_CHARGED = ("compile", "data_wait")


def clock(report: ScoreReport) -> Markup:
    """Seconds per step and shares of the clock; what no log has is said once."""
    splits = {(own.submission, own.workload): own for own in report.clock_splits}
    paces = {(own.submission, own.workload): own for own in report.paces}
    accounts = [
        name
        for name in _ALL + _CHARGED
        if any(getattr(split, name) is not None for split in splits.values())
    ]
    keys = [
        (name, rule.name)
        for name in report.board.submissions
        for rule in report.board.rules.needed
    ]
    rows = [
        _row(splits[key], paces.get(key), accounts) for key in keys if key in splits
    ]
    header = ["submission", "workload", "s per step", "spread over studies"]
    header += [name.replace("_", " ") for name in accounts]
    numbers = table(_caption(accounts), header, rows, sortable=True)
    return join([_absent(accounts), numbers])


def _caption(accounts: list[str]) -> str:
    said = ["Median seconds per step, and the slowest study over the fastest"]
    for names, whole in ((_ALL, "all seconds"), (_CHARGED, "the charged seconds")):
        own = [name.replace("_", " ") for name in names if name in accounts]
        if own:
            said.append(f"{' and '.join(own)}: shares of {whole}")
    return "; ".join([*said, "-: not in the logs"])


def _absent(accounts: list[str]) -> Markup | None:
    out = [n.replace("_", " ") for n in _ALL + _CHARGED if n not in accounts]
    text = f"The logs do not say how many seconds went to {', '.join(out)}."
    return el("p", text) if out else None


def _row(split: ClockSplit, pace: Pace | None, accounts: list[str]) -> list[Cell]:
    shares = [getattr(split, name) for name in accounts]
    per_step = None if pace is None else median(pace.by_study.values())
    return [
        Cell(split.submission),
        Cell(split.workload, left=True),
        Cell("-" if per_step is None else f"{per_step:.4g}", per_step),
        _spread(pace),
        *(
            Cell("-" if share is None else f"{share:.1%}", share, share=share)
            for share in shares
        ),
    ]


def _spread(pace: Pace | None) -> Cell:
    if pace is None:
        return Cell("-")
    text = f"{pace.spread:.2f}×"
    shown = el("strong", text, " uneven", class_="bad") if pace.uneven else text
    return Cell(shown, pace.spread)
