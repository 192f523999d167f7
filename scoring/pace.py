"""Where the seconds went: seconds per step and their spread, shares of the clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from scoring.load import TrialRecord
from scoring.runtimes import WorkloadResult
from scoring.scoreboard import Scoreboard

# Studies run on machines of one kind: a wider spread says that they were not, or that
# something else ran beside a trial.
SPREAD_WARNING = 1.1


@dataclass(frozen=True)
class Pace:
    """Seconds per step of a submission on a workload: the median trial of each study.

    `spread` is the slowest study over the fastest, `trial_spread` the slowest trial
    over the fastest; 1.0 is no spread. Studies whose steps cannot be read are left
    out.
    """

    submission: str
    workload: str
    by_study: dict[int, float]
    spread: float
    trial_spread: float

    @property
    def uneven(self) -> bool:
        """Whether the machines of the studies seem to differ."""
        return self.spread > SPREAD_WARNING


@dataclass(frozen=True)
class ClockSplit:
    """Shares of all seconds of a submission's trials on a workload.

    `evaluation` and `logging` were not charged and are shares of the whole; `compile`
    and `data_wait` are parts of the charged seconds and shares of those. None where
    no trial's logs have it.
    """

    submission: str
    workload: str
    evaluation: float | None
    logging: float | None
    compile: float | None
    data_wait: float | None


def paces(board: Scoreboard) -> tuple[Pace, ...]:
    """Of every submission on every workload with steps in its logs."""
    found = (_pace(result) for result in board.runtimes.results.values())
    return tuple(pace for pace in found if pace is not None)


def seconds_per_step(trial: TrialRecord) -> float | None:
    """From a trial's first evaluation to its last, so that compiling is left out.

    A resumed trial goes back in time and step together. With a single evaluation, or
    without steps, there is no pace.
    """
    rows = trial.rows
    if len(rows) < 2:
        return None
    steps = rows.step[-1] - rows.step[0]
    seconds = rows.time_s[-1] - rows.time_s[0]
    return float(seconds / steps) if steps > 0 and seconds > 0 else None


def _pace(result: WorkloadResult) -> Pace | None:
    by_study: dict[int, list[float]] = {}
    for study in result.studies:
        for attempt in study.attempts:
            pace = seconds_per_step(attempt.trial)
            if pace is not None:
                by_study.setdefault(study.study, []).append(pace)
    if not by_study:
        return None
    medians = {study: median(own) for study, own in by_study.items()}
    trials = [pace for own in by_study.values() for pace in own]
    return Pace(
        result.submission,
        result.workload,
        medians,
        max(medians.values()) / min(medians.values()),
        max(trials) / min(trials),
    )


def clock_splits(board: Scoreboard) -> tuple[ClockSplit, ...]:
    """Of every submission on every workload that has logs."""
    return tuple(
        _split(result)
        for result in board.runtimes.results.values()
        if result.framework is not None
    )


def _split(result: WorkloadResult) -> ClockSplit:
    trials = [a.trial.seconds for study in result.studies for a in study.attempts]

    def share(account: str, of: Iterable[str]) -> float | None:
        # Trials whose logs lack an account say nothing about its share.
        having = [own for own in trials if {account, *of} <= own.keys()]
        whole = sum(own[name] for own in having for name in of)
        return sum(own[account] for own in having) / whole if whole > 0 else None

    everything = ("submission", "evaluation", "logging")
    return ClockSplit(
        result.submission,
        result.workload,
        share("evaluation", everything),
        share("logging", everything),
        share("compile", ("submission",)),
        share("data_wait", ("submission",)),
    )
