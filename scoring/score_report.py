"""Everything there is to say about a folder of logs: `scoring.score`."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from algoperf.facts import UserError, closest
from scoring.archive import opened
from scoring.compare import Comparison, compare
from scoring.cube import trial_cube
from scoring.fit import no_common_workload
from scoring.folders import check_folder, log_folders
from scoring.load import Logs, load_logs, only_ruleset
from scoring.pace import ClockSplit, Pace, clock_splits, paces
from scoring.rules import Rules, Ruleset
from scoring.rules_file import read_rules
from scoring.scoreboard import Scoreboard, score_logs
from scoring.sensitivity import Summary, Variation, summaries, variations
from scoring.speedup import Runlength, Speedup, runlengths, speedups
from scoring.statistics import (
    SEED,
    Resamples,
    Uncertainty,
    bootstrap,
    groups,
    separated,
    uncertainty,
)
from scoring.steps import StepBoard, score_steps
from scoring.tuning_curve import TuningCurve, tuning_curves
from scoring.winners import Winner, find_winners

if TYPE_CHECKING:
    import pandas  # not installed with this package: only `to_frame` needs it

# Which submissions are ranked: those of one tuning ruleset, or all.
Ranked = Literal["auto", "external", "self"]
DEFAULT_REFERENCE = "baseline"


@dataclass(frozen=True, eq=False)
class ScoreReport:
    """A scored folder of logs. Tuples of submissions are best first.

    `over_studies` and `over_workloads` (studies, then workloads) are empty with a
    single study: one repetition says nothing about spread. `reference` is None, and
    `speedups` empty, if no reference was named and none is called baseline.
    """

    source: str
    board: Scoreboard
    resamples: Resamples
    over_studies: tuple[Uncertainty, ...]
    over_workloads: tuple[Uncertainty, ...]
    separated: tuple[tuple[str, str], ...]
    not_separated: tuple[tuple[str, ...], ...]
    variations: tuple[Variation, ...]
    reference: str | None
    speedups: tuple[Speedup, ...]
    runlengths: tuple[Runlength, ...]
    steps: StepBoard | None
    paces: tuple[Pace, ...]
    clock_splits: tuple[ClockSplit, ...]
    tuning_curves: tuple[TuningCurve, ...]
    winners: tuple[Winner, ...]

    @property
    def scores(self) -> dict[str, float]:
        """The score of every submission, best first."""
        return {entry.submission: entry.score for entry in self.board.entries}

    @functools.cached_property
    def sensitivity(self) -> tuple[Summary, ...]:
        """The variations, summed up by kind."""
        return summaries(self.variations)

    def compare(self, a: str, b: str) -> Comparison:
        """Two submissions, workload by workload.

        Raises:
          UserError: a submission that is not ranked here.
        """
        for name in (a, b):
            check_ranked(self.board, name, "compare")
        return compare(self.board, self.resamples, a, b)

    def to_frame(self) -> "pandas.DataFrame":
        """The leaderboard as a pandas frame, a row per submission; needs pandas."""
        import pandas

        from scoring.leaderboard import leaderboard_rows

        return pandas.DataFrame(leaderboard_rows(self)).set_index("submission")


def score(
    directory: str | Path,
    rules: str | Path | Rules = "mini",
    *,
    submissions: Iterable[str] | None = None,
    tuning_ruleset: Ranked = "auto",
    by_trapezoid: bool = False,
    reference: str | None = None,
    resamples: int | None = None,
    seed: int = SEED,
) -> ScoreReport:
    """Scores a folder or an archive of logs; writes nothing.

    Args:
      directory: holds one folder per submission; or a .tar.xz, .tar.gz or .zip.
      rules: the name of a version, a JSON file of the same shape, or `Rules`.
      submissions: the names to rank; all without.
      tuning_ruleset: rank the submissions of one ruleset alone; `auto` ranks all.
        Submissions without trial.json (AlgoPerf's logs) are of this ruleset; with
        `auto`, of that in the folder's name (`self_tuning`), else external.
      by_trapezoid: rank by the published 100-point rule, not the exact integral.
      reference: the submission that speed-ups are over; without, the one called
        baseline, if there is one.
      resamples, seed: of the bootstrap.

    Raises:
      UserError: folders, rules or names that need the user's attention.
    """
    if not isinstance(rules, Rules):
        rules = read_rules(rules)
    with opened(Path(directory)) as top:
        root = find_logs(top, tuning_ruleset)
        logs = _load(root, rules, tuning_ruleset, submissions)
        board = score_logs(logs, rules, by_trapezoid)
        winners = find_winners(board, root)
    inner = root.relative_to(top)
    # Never the whole path: a page that is sent to others should not tell it.
    name = Path(directory).resolve().name
    source = name if inner == Path() else f"{name}/{inner.as_posix()}"
    return _report(source, board, winners, reference, resamples, seed)


def find_logs(top: Path, tuning_ruleset: Ranked = "auto") -> Path:
    """The folder that holds the submissions: the one given, or the only one below.

    AlgoPerf's log repository has an external_tuning and a self_tuning folder.
    """
    check_folder(top)
    found = log_folders(top)
    named = [path for path in found if path.name == f"{tuning_ruleset}_tuning"]
    if len(named) == 1:
        return named[0]
    return found[0] if len(found) == 1 else top


def check_ranked(board: Scoreboard, name: str, flag: str) -> None:
    """Raises UserError for the name of a submission that is not on the board."""
    if name not in board.submissions:
        raise UserError(
            f"--{flag}: no submission {name!r} is ranked here; "
            f"{closest(name, board.submissions)}All: {', '.join(board.submissions)}."
        )


def _load(
    root: Path, rules: Rules, ranked: Ranked, submissions: Iterable[str] | None
) -> Logs:
    assumed: Ruleset = "external" if ranked == "auto" else ranked
    if ranked == "auto" and root.resolve().name == "self_tuning":
        assumed = "self"
    logs = load_logs(root, rules, assumed, submissions)
    if ranked != "auto":
        found = logs.rulesets
        logs = only_ruleset(logs, ranked)
        if not logs.rulesets:
            others = ", ".join(f"{name} ({own})" for name, own in found.items())
            raise UserError(
                f"{root} has no submission of --tuning_ruleset={ranked}; "
                f"found: {others}. Leave the flag out to rank them."
            )
    if not logs.workloads_seen & set(rules.names):
        raise UserError(no_common_workload(root, rules, logs))
    return logs


def _report(
    source: str,
    board: Scoreboard,
    winners: tuple[Winner, ...],
    reference: str | None,
    resamples: int | None,
    seed: int,
) -> ScoreReport:
    names = board.ratios.rows
    if reference is not None:
        check_ranked(board, reference, "reference")
    elif DEFAULT_REFERENCE in names:
        reference = DEFAULT_REFERENCE
    cube = trial_cube(board.runtimes, names, board.rules).min(axis=-1)
    drawn = bootstrap(cube, names, board.rules, board.by_trapezoid, resamples, seed)
    has_spread = board.rules.studies > 1
    apart = separated(drawn.scores)
    return ScoreReport(
        source=source,
        board=board,
        resamples=drawn,
        over_studies=_ordered(board, drawn.scores) if has_spread else (),
        over_workloads=_ordered(board, drawn.nested_scores) if has_spread else (),
        separated=_pairs(board, apart) if has_spread else (),
        not_separated=groups(board.submissions, names, apart) if has_spread else (),
        variations=variations(board),
        reference=reference,
        speedups=() if reference is None else speedups(board, drawn, reference),
        runlengths=runlengths(board),
        steps=score_steps(board),
        paces=paces(board),
        clock_splits=clock_splits(board),
        tuning_curves=tuning_curves(board),
        winners=winners,
    )


def _ordered(board: Scoreboard, scores: np.ndarray) -> tuple[Uncertainty, ...]:
    found = {one.submission: one for one in uncertainty(scores, board.ratios.rows)}
    return tuple(found[name] for name in board.submissions)


def _pairs(board: Scoreboard, apart: np.ndarray) -> tuple[tuple[str, str], ...]:
    """The separated pairs, the better one first."""
    names = board.ratios.rows
    rows = [names.index(name) for name in board.submissions]
    return tuple(
        (names[a], names[b])
        for place, a in enumerate(rows)
        for b in rows[place + 1 :]
        if apart[a, b]
    )
