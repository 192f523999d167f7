"""`algoperf check`: looks a submission over before it costs a night."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from algoperf.cli.bundled import find_submission, search_space_beside
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.facts import UserError
from algoperf.submission_rules import findings
from workloads.catalog import CATALOG

USAGE = """algoperf check PATH: loads a submission, tries it, and reads its files

Ten steps and an evaluation on digits; one abstract step, on shapes alone, on every full
workload; and what in its files the rules forbid. Exit code 0 if nothing was found."""

EXIT_FOUND = 1
TRIED_ON = "digits"


@dataclass(frozen=True)
class Line:
    """One result: `ok` is None for what is only said."""

    ok: bool | None
    what: str

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "BAD ", None: "    "}[self.ok]
        return f"{mark}{self.what}"


def main(argv: list[str]) -> int:
    """Prints every result; 0 if all are good, 1 if not."""
    values = flags.FlagValues()
    paths = [word for word in argv if not word.startswith("-")]
    try:
        parse(values, USAGE, [word for word in argv if word not in paths[:1]])
    except HelpShown:
        return 0
    if not paths:
        raise UserError("algoperf check takes the path or the name of a submission.")
    path = find_submission(paths[0])
    found = False
    for line in check(path):
        print(line, flush=True)
        found = found or line.ok is False
    return EXIT_FOUND if found else 0


def check(path: Path):
    """Every result, one after the other."""
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
    yield from _traced(submission, point)
    yield from _read(submission)


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
        if facts.scale != "full" or facts.name == TRIED_ON:
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
