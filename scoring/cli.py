"""`algoperf score`: turns the folders that `algoperf run` wrote into a leaderboard."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from absl import flags

from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.facts import UserError
from scoring.archive import without_suffix
from scoring.compare_report import render_comparison
from scoring.export import write_scores
from scoring.health import HealthNote, harmful
from scoring.report import render
from scoring.rules import VERSIONS, Rules
from scoring.rules_file import read_rules
from scoring.score_report import score
from scoring.statistics import SEED

USAGE = """algoperf score --submission_directory=FOLDER: a leaderboard from logs

FOLDER holds <submission>/study_S/<workload>_jax/trial_N/eval_measurements.csv,
as `algoperf run` and AlgoPerf write it; or it is a .tar.xz, .tar.gz or .zip of that.
--compare A B compares two of the submissions instead."""

# So many irregularities are in the message of --strict.
SHOWN_NOTES = 10


def main(argv: list[str]) -> int:
    """Scores the logs, prints the report and writes scores.json, leaderboard.csv.

    Raises:
      UserError: flags, folders or (--strict) logs that need the user's attention.
    """
    values = _flags()
    try:
        parse(values, USAGE, _joined_pair(argv))
    except HelpShown:
        return 0
    if not values.submission_directory:
        raise UserError(
            "--submission_directory is missing: the folder that holds one folder per "
            "submission, for example --submission_directory=runs/my_experiment."
        )
    if values.compare and len(values.compare) != 2:
        raise UserError(
            f"--compare takes two submissions, found {len(values.compare)}: "
            "--compare A B."
        )
    root = Path(values.submission_directory)
    report = score(
        root,
        _rules(values),
        submissions=values.submissions or None,
        tuning_ruleset=values.tuning_ruleset,
        by_trapezoid=values.trapezoid,
        reference=values.reference,
        resamples=values.resamples,
        seed=values.seed,
    )
    if values.strict:
        _refuse(harmful(report.board.notes))
    if values.compare:
        print(render_comparison(report.compare(*values.compare)))
        return 0
    output = Path(values.output_dir) if values.output_dir else default_output(root)
    print(render(report))
    for path in write_scores(report, output, page=values.report):
        print(f"written: {path}")
    return 0


def default_output(root: Path) -> Path:
    """Beside the submission directory, never in it: there it would be a submission."""
    root = without_suffix(root.resolve())
    return root.with_name(f"{root.name}_scores")


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string(
        "submission_directory",
        None,
        "the folder that holds one folder per submission, or an archive of it",
        flag_values=values,
    )
    flags.DEFINE_string(
        "rules",
        "mini",
        f"workloads, targets and budgets to score by: {', '.join(VERSIONS)}; or a JSON "
        "file of the same shape as `rules` in scores.json",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output_dir",
        None,
        "where scores.json and leaderboard.{csv,md,html} go; without: beside the "
        "submission directory, with _scores after its name",
        flag_values=values,
    )
    flags.DEFINE_list(
        "workloads", None, "score these alone, by commas", flag_values=values
    )
    flags.DEFINE_list(
        "submissions", None, "rank these alone, by commas", flag_values=values
    )
    _define_how_to_score(values)
    _define_what_to_show(values)
    return values


def _define_how_to_score(values: flags.FlagValues) -> None:
    flags.DEFINE_enum(
        "tuning_ruleset",
        "auto",
        ["auto", "external", "self"],
        "rank one ruleset alone; auto: all, by their trial.json. Submissions without "
        "one (AlgoPerf's logs) are of the ruleset named here, external with auto",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "studies",
        None,
        "planned studies, instead of those of the rules: to look at unfinished runs",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "trials",
        None,
        "planned trials of an external study, instead of those of the rules",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "trapezoid",
        False,
        "rank by the published 100-point rule instead of the exact integral",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "strict",
        False,
        "refuse logs with an irregularity that touches what is scored",
        flag_values=values,
    )


def _define_what_to_show(values: flags.FlagValues) -> None:
    flags.DEFINE_list(
        "compare", None, "two submissions to compare: A,B or A B", flag_values=values
    )
    flags.DEFINE_string(
        "reference",
        None,
        "the submission that speed-ups are over; without: baseline, if it is there",
        flag_values=values,
    )
    flags.DEFINE_bool("report", True, "write leaderboard.html", flag_values=values)
    flags.DEFINE_integer(
        "resamples",
        None,
        "of the bootstrap; without: 10000, fewer with more than 70 submissions",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", SEED, "of the bootstrap", lower_bound=0, flag_values=values
    )


def _joined_pair(argv: list[str]) -> list[str]:
    """`--compare A B` as `--compare=A,B`, which is how flags are parsed."""
    for place, word in enumerate(argv[:-2]):
        names = argv[place + 1 : place + 3]
        if word in ("--compare", "-compare") and not any(
            name.startswith("-") or "," in name for name in names
        ):
            pair = f"--compare={','.join(names)}"
            return [*argv[:place], pair, *argv[place + 3 :]]
    return argv


def _rules(values: flags.FlagValues) -> Rules:
    """The rules asked for, with the plan of the flags where they give one."""
    rules = read_rules(values.rules)
    if values.workloads:
        rules = rules.only(values.workloads)
    return replace(
        rules,
        studies=values.studies or rules.studies,
        trials_external=values.trials or rules.trials_external,
    )


def _refuse(notes: Sequence[HealthNote]) -> None:
    if not notes:
        return
    shown = "\n".join(f"  {note}" for note in notes[:SHOWN_NOTES])
    more = len(notes) - SHOWN_NOTES
    raise UserError(
        f"--strict: {len(notes)} irregularities of the logs touch what is scored; "
        "nothing was written. Correct the logs, or leave --strict out:\n"
        + shown
        + (f"\n  and {more} more" if more > 0 else "")
    )
