"""What `algoperf score --compare A B` shows."""

import math

from scoring.compare import Comparison, Verdict, WorkloadComparison
from scoring.statistics import Interval
from scoring.text_tables import titled


def render_comparison(found: Comparison) -> str:
    """Two submissions, workload by workload, and in all."""
    a, b = found.a, found.b
    header = ["workload", f"{a} s", f"{b} s", "speed-up", "95 %", "verdict"]
    header.append("seconds of each study")
    lines = [_line(own, a, b) for own in found.workloads]
    total = found.speedup
    lines.append(
        [
            "all (geometric mean)",
            "",
            "",
            f"{total.geometric_mean:.2f}x",
            _interval(total.interval),
            _said(found.speedup_verdict, a, b),
            "",
        ]
    )
    table = titled(
        f"{a} against {b}: above 1x, {a} is faster", header, lines, left=(0, 5, 6)
    )
    score = found.score_interval
    texts = [
        f"score: {a} has {found.score_difference:+.4f} ({score.low:+.4f} to "
        f"{score.high:+.4f}); P({a} higher) {found.a_beats_b:.0%}, P({b} higher) "
        f"{found.b_beats_a:.0%}: {_said(found.verdict, a, b, 'higher')}",
    ]
    if not found.has_spread:
        texts.append("note: one study: the intervals are empty and say nothing")
    missing = {a: total.missing, b: total.reference_missing}
    for name, workloads in missing.items():
        if workloads:
            texts.append(
                f"note: {name} missed {', '.join(workloads)}: its budget stands for "
                "its time there"
            )
    return "\n".join([table, *texts])


def _line(own: WorkloadComparison, a: str, b: str) -> list[str]:
    studies = [
        ", ".join(map(_seconds, times))
        for times in (own.a_study_times_s, own.b_study_times_s)
    ]
    neither = own.verdict == "neither reached the target"
    return [
        own.workload,
        _seconds(own.a_time_s),
        _seconds(own.b_time_s),
        "-" if neither else f"{own.speedup:.2f}x",
        "-" if neither else _interval(own.interval),
        _said(own.verdict, a, b),
        " | ".join(studies),
    ]


def _said(verdict: Verdict, a: str, b: str, word: str = "faster") -> str:
    if verdict == "a":
        return f"{a} {word}"
    return f"{b} {word}" if verdict == "b" else verdict


def _interval(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"


def _seconds(time_s: float) -> str:
    return f"{time_s:,.1f}" if math.isfinite(time_s) else "-"
