"""The leaderboard as a Markdown table, to paste into a README."""

from scoring.leaderboard import leaderboard_rows
from scoring.remarks import notes, warnings
from scoring.report import interval
from scoring.score_report import ScoreReport


def leaderboard_markdown(report: ScoreReport) -> str:
    """Ranks, scores and intervals, what they hang on, and the time on each workload."""
    header = ["Rank", "Submission", "Score", "95 %", "Ranks", "P(first)", "Reached"]
    if report.reference:
        header.append(f"Speed-up over {_plain(report.reference)}")
    lines = []
    for row in leaderboard_rows(report):
        line = [
            str(row["rank"]),
            _plain(row["submission"]),
            f"{row['score']:.4f}",
            interval(row["score_low"], row["score_high"], ".2f"),
            interval(row["rank_low"], row["rank_high"], "d"),
            "-" if row["rank_1"] is None else f"{row['rank_1']:.0%}",
            f"{row['workloads_reached']} of {row['workloads']}",
        ]
        if report.reference:
            ends = interval(row["speedup_low"], row["speedup_high"], ".2f")
            line.append(f"{row['speedup']:.2f} ({ends})")
        lines.append(line)
    remarks = [f"**Warning:** {_plain(text)}" for text in warnings(report)]
    remarks += [_plain(text) for text in notes(report)]
    return "\n".join(
        [
            _table(header, lines, left={1}),
            "",
            _table(*_times(report), left={0}),
            "",
            *(f"- {text}" for text in remarks),
            "",
        ]
    )


def _times(report: ScoreReport) -> tuple[list[str], list[list[str]]]:
    board = report.board
    lines = []
    for rule in board.rules.needed:
        times = [board.runtimes.results[n, rule.name].time_s for n in board.submissions]
        cells = [f"{t:,.1f}" if t < float("inf") else "-" for t in times]
        lines.append([_plain(rule.name), *cells])
    return ["Seconds to target", *map(_plain, board.submissions)], lines


def _table(header: list[str], lines: list[list[str]], left: set[int]) -> str:
    rule = [":---" if column in left else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)
