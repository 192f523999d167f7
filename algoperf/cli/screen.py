"""What people see of a run: a line that updates, and a table after each part."""

import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from algoperf.facts import Facts
from algoperf.limits import Limits
from algoperf.progress import Progress

REFRESH_S = 0.5


class NoScreen:
    """Shows nothing."""

    def stepped(self, progress: Progress, submission_s: float) -> None: ...

    def evaluated(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None: ...

    def ended(self, record: dict[str, Any]) -> None: ...


class Screen:
    """Shows one trial: a line that updates on a terminal, else a line an evaluation.

    On a terminal the line is redrawn at most twice a second: drawing is on the
    submission's clock.
    """

    def __init__(
        self, title: str, facts: Facts, limits: Limits, stream: TextIO | None = None
    ):
        self._title, self._facts, self._limits = title, facts, limits
        self._stream = stream or sys.stdout  # as it is now: it may be redirected
        self._live = self._stream.isatty()
        self._next_refresh = 0.0
        self._latest = "not evaluated yet"
        self._width = 0
        self._closed = False

    def stepped(self, progress: Progress, submission_s: float) -> None:
        """Redraws the line if it is time to."""
        if self._live and time.monotonic() >= self._next_refresh:
            self._next_refresh = time.monotonic() + REFRESH_S
            self._draw(self._line(progress, submission_s))

    def evaluated(self, progress: Progress) -> None:
        """Notes the metric, and prints a line where lines cannot be redrawn."""
        metric = self._facts.metric
        value = progress.eval_results[-1][1][f"validation/{metric}"]
        sign = ">=" if self._facts.goal == "max" else "<="
        target = self._facts.validation_target
        self._latest = f"{metric} {value:.4f} ({sign} {target:g})"
        line = self._line(progress, progress.seconds.submission)
        if self._live:
            self._draw(line)
        else:
            self._write(line + "\n")

    def message(self, text: str) -> None:
        """A line of its own that stays."""
        cleared = "\r" + " " * self._width + "\r" if self._live and self._width else ""
        self._width = 0
        self._write(f"{cleared}{self._title}: {text}\n")

    def ended(self, record: dict[str, Any]) -> None:
        """The summary of a trial that ended now."""
        seconds = record["seconds"]
        self.message(
            f"{record['outcome']} after {record['steps']:,} steps; "
            f"{seconds['submission']:.1f} s charged (compile {seconds['compile']:.1f}, "
            f"data {seconds['data_wait']:.1f}), not charged: evaluation "
            f"{seconds['evaluation']:.1f} s, records {seconds['logging']:.1f} s"
        )

    def _line(self, progress: Progress, submission_s: float) -> str:
        limits = self._limits
        rate = progress.step / submission_s if submission_s > 0 else 0.0
        left_s = max(limits.max_runtime_s - submission_s, 0.0)
        steps = f"step {progress.step:,}"
        if limits.max_steps is not None:
            steps += f"/{limits.max_steps:,}"
            if rate > 0:
                left_s = min(left_s, (limits.max_steps - progress.step) / rate)
        return (
            f"{self._title} | {steps} | {self._latest} | "
            f"{submission_s:.1f} of {limits.max_runtime_s:,g} s | "
            f"{rate:,.0f} steps/s | ends within {_duration(left_s)}"
        )

    def _draw(self, line: str) -> None:
        self._write("\r" + line.ljust(self._width))
        self._width = len(line)

    def _write(self, text: str) -> None:
        if self._closed:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._closed = True  # nobody looks any more: training goes on


def study_table(records: Sequence[dict[str, Any]]) -> str:
    """A table of the trials of one study, the fastest marked."""
    times = [
        record["reached"]["submission_s"] for record in records if record["reached"]
    ]
    best = min(times, default=None)
    lines = ["  trial  outcome                steps  best value  to target  point"]
    for record in records:
        reached = record["reached"]
        time_s = f"{reached['submission_s']:8.2f} s" if reached else "         -"
        mark = "*" if reached and reached["submission_s"] == best else " "
        value = "-" if record["best"] is None else f"{record['best']:.4f}"
        lines.append(
            f"  {record['trial']:>5}  {record['outcome'] or 'stopped':<21}"
            f"{record['steps']:>7,}  {value:>10} {time_s}{mark}  "
            f"{_point(record['hyperparameters'])}"
        )
    return "\n".join(lines)


def _point(point: dict[str, Any] | None) -> str:
    if point is None:
        return "-"
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in point.items()
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
