"""`algoperf check`: looks a submission over before it costs a night."""

from pathlib import Path
from typing import Any

from absl import flags

from algoperf.cli import run_flags
from algoperf.cli.bundled import find_submission, search_space_beside
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.cli.result_line import Line
from algoperf.cli.run_command import request_from
from algoperf.facts import UserError
from algoperf.submission_rules import findings
from scoring.rules import get_rules
from workloads.catalog import CATALOG

USAGE = """algoperf check PATH: loads a submission, tries it, and reads its files

Ten steps and an evaluation on digits; one abstract step, on shapes alone, on every full
workload that is no variant; and what in its files the rules forbid. Exit code 0 if
nothing was found.

With --workload=NAMES (or all, full, base, mini) these are compiled for this hardware
instead and, where memory and time allow, run for a few steps: memory, hours, disk and
the cost of the whole study. Data that is not there is replaced by random batches. The
flags are those of `algoperf run`; without --num_studies and --num_tuning_trials, costs
are those of a whole submission by the scoring rules."""

RULES = "mini"  # all versions but the oldest have as many studies and trials
EXIT_FOUND = 1
TRIED_ON = "digits"


def main(argv: list[str]) -> int:
    """Prints every result; 0 if all are good, 1 if not."""
    values = flags.FlagValues()
    run_flags.define(values)
    try:
        words = parse(values, USAGE, argv, most_words=1)
    except HelpShown:
        return 0
    if words and values.submission_path:
        raise UserError(
            f"{words[0]} and --submission_path={values.submission_path} name two "
            "submissions. Leave one of them out."
        )
    values.submission_path = words[0] if words else values.submission_path
    if not values.submission_path:
        raise UserError("algoperf check takes the path or the name of a submission.")
    path = find_submission(values.submission_path)
    found = False
    for line in check(path, values.workload is None):
        print(line, flush=True)
        found = found or line.ok is False
    if values.workload is not None:
        found = _preflight(values) or found
    return EXIT_FOUND if found else 0


def check(path: Path, trace_full: bool = True):
    """Every result, one after the other; with an abstract step on full workloads."""
    # Here, and not above: `--help` must not wait for JAX.
    from algoperf.compat import removed_names_used
    from algoperf.pmap_style import as_jit_style, style_of
    from algoperf.submission import load_submission

    submission = load_submission(path)
    yield Line(True, f"{submission.path} loads")
    names = removed_names_used(submission.sources)
    if names:
        yield Line(None, f"supplied, since JAX has removed it: {', '.join(names)}")
    if style_of(submission) == "pmap":
        yield Line(None, "runs in the pmap style: arrays by device")
        submission = as_jit_style(submission)
    point = _first_point(path)
    yield from _tried(submission, point)
    if trace_full:
        yield from _traced(submission, point)
    yield from _read(submission)


def _preflight(values: flags.FlagValues) -> bool:
    """The pre-flight of the workloads named; whether it found anything bad."""
    from algoperf.cli.preflight import options_from, run_preflight

    values.workload = _expanded(values.workload)
    run_flags.check(values)
    _study_by_the_rules(values)
    request = request_from(values, need_data=False)
    return run_preflight(request, options_from(values)) != 0


def _study_by_the_rules(values: flags.FlagValues) -> None:
    """Costs are those of a whole submission, unless flags say otherwise."""
    rules = get_rules(RULES)
    if not values["num_studies"].present and values.study_index is None:
        values.num_studies = rules.studies
    space = values.tuning_search_space or search_space_beside(
        find_submission(values.submission_path)
    )
    if not values["num_tuning_trials"].present and values.tuning_ruleset != "self":
        values.num_tuning_trials = rules.trials("external" if space else "self")


def _expanded(names: str) -> str:
    """Names of workloads, with words for many; `base` are the full ones scored."""
    full = [facts for facts in CATALOG.values() if facts.scale == "full"]
    groups = {
        "all": list(CATALOG),
        "full": [facts.name for facts in full],
        "base": [facts.name for facts in full if facts.base == facts.name],
        "mini": [facts.name for facts in CATALOG.values() if facts.scale == "mini"],
    }
    words = [word.strip() for word in names.split(",")]
    return ",".join(name for word in words for name in groups.get(word, [word]))


def _first_point(path: Path) -> Any:
    from algoperf.tuning import read_search_space, study_points

    space = search_space_beside(path)
    if space is None:
        return None
    return study_points(read_search_space(space), 1)[0]


def _tried(submission: Any, point: Any):
    from algoperf.submission_calls import SubmissionFailed, describe_failure
    from algoperf.submission_check import STEPS, try_steps
    from workloads.loading import load

    try:
        seen = try_steps(load(TRIED_ON), submission, point)
    except (SubmissionFailed, ValueError) as error:
        message, _ = describe_failure(error, submission.path.parent)
        yield Line(False, f"{STEPS} steps on {TRIED_ON} {message}")
        return
    loss, size = seen.metrics["train/loss"], seen.batch_size
    said = f"{STEPS} steps on {TRIED_ON}, batches of {size}: training loss {loss:.4g}"
    yield Line(True, said)
    if seen.nonfinite:
        yield Line(False, "NaN or infinity in the params")
    if seen.recompiled:
        names = ", ".join(seen.recompiled)
        yield Line(False, f"compiles again after the second step: {names}")
    else:
        yield Line(True, "compiles nothing after the second step")
    for first, second in seen.shared[:3]:
        what = f"{first} and {second} share memory, and cannot both be donated"
        yield Line(False, what)
    yield Line(None, f"{seen.state_bytes_per_param:.2f} bytes of state per parameter")


def _traced(submission: Any, point: Any):
    from algoperf.submission_calls import SubmissionFailed, describe_failure
    from algoperf.submission_check import trace_step
    from workloads.loading import without_data

    for facts in CATALOG.values():
        is_variant = facts.base != facts.name
        if facts.scale != "full" or is_variant or facts.name == TRIED_ON:
            continue
        try:
            size = trace_step(without_data(facts.name), submission, point)
        except (SubmissionFailed, ValueError) as error:
            message, _ = describe_failure(error, submission.path.parent)
            yield Line(False, f"one abstract step on {facts.name} {message}")
        else:
            said = f"{size:.2f} bytes of state per parameter"
            yield Line(True, f"one abstract step on {facts.name}: {said}")


def _read(submission: Any):
    found = findings(submission.sources, CATALOG)
    for finding in found:
        yield Line(False, str(finding))
    if not found:
        count = len(submission.sources)
        files = f"{count} file{'s' if count > 1 else ''}"
        yield Line(True, f"nothing that the rules forbid in {files}")
