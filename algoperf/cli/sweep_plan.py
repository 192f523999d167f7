"""From a plan and flags to a sweep: names looked up, every flag tried."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from absl import flags

from algoperf.cli import run_flags
from algoperf.cli.bundled import bundled_submissions
from algoperf.cli.flag_parsing import parse
from algoperf.cli.run_command import Request, request_from
from algoperf.facts import UserError
from algoperf.sweep.plan import (
    Entry,
    FlagValue,
    Plan,
    flag_words,
    plan_of,
    read_plan_file,
)
from algoperf.sweep.record import agreed_seed, seeds_before
from algoperf.sweep.tasks import Submission, Sweep, Task, check_names

# Nobody looks at the trials of a sweep: one that hangs would keep its place for ever.
# An hour is far more than a step or a batch of an evaluation takes anywhere.
STEP_TIMEOUT_S = 3600
# Run flags that are paths: tasks may start in another folder.
_PATHS = ("data_dir", "reference_runtimes")


def read_plan(file: str | None, values: flags.FlagValues) -> Plan:
    """The plan of a file and of flags; flags win.

    Raises:
      UserError: it cannot be read, or has a key or value that is not allowed.
    """
    content = read_plan_file(Path(file)) if file else {}
    for name in ("submissions", "workloads"):
        names: str | None = values[name].value
        if names:
            content[name] = [part.strip() for part in names.split(",")]
    for name in ("studies", "trials", "seed", "experiment_dir"):
        if values[name].value is not None:
            content[name] = values[name].value
    extra = dict(_words_as_flags(values.run_flags or ""))
    for name in ("stop_when_beaten", "stop_when_hopeless"):
        if values[name].value:
            extra[name] = True
    if values.reference_runtimes:
        extra["reference_runtimes"] = values.reference_runtimes
    run = content.get("run", {})
    if extra and isinstance(run, dict):
        content["run"] = run | extra
    return plan_of(content, file or "the sweep")


def sweep_of(plan: Plan) -> Sweep:
    """Looks up the submissions and workloads, and writes the seed down.

    Raises:
      UserError: what `algoperf run` would say about the flags, submissions, workloads
        and data of a task; or the folder has other seeds.
    """
    experiment_dir = Path(plan.experiment_dir).expanduser().absolute()
    submissions = tuple(_submission(plan, entry) for entry in plan.submissions)
    words_for = {name: _words(own) for name, own in plan.flags_for.items()}
    sweep = Sweep(
        experiment_dir=experiment_dir,
        submissions=submissions,
        workloads=plan.workloads,
        studies=plan.studies,
        seed=0,
        words=_words({"step_timeout": STEP_TIMEOUT_S, **plan.flags}),
        words_for=words_for,
    )
    check_names(sweep)
    for task in _one_of_each(sweep):
        # The same line that will run, so that what it refuses is refused now.
        request_of(sweep.command(task)[4:])
    _check_reference(plan)
    seeds = seeds_before(
        experiment_dir,
        [submission.name for submission in submissions],
        plan.workloads,
        plan.studies,
    )
    for (name, workload, study), own in seeds.items():
        if plan.seed not in (None, own):
            raise UserError(
                f"study {study} of {name} on {workload} in {experiment_dir} has seed "
                f"{own}, not {plan.seed}. Leave the seed out to continue it, or give "
                "another --experiment_dir."
            )
    # Last, so that nothing is written for a sweep that is refused.
    return replace(sweep, seed=agreed_seed(experiment_dir, plan.seed), seeds=seeds)


def request_of(words: list[str]) -> Request:
    """What `algoperf run` makes of a command line, without running it."""
    values = flags.FlagValues()
    run_flags.define(values)
    parse(values, "", words)
    run_flags.check(values)
    return request_from(values)


def part_of(text: str | None, plan: Plan) -> tuple[int, int]:
    """The number of the part to run, and of how many.

    Raises:
      UserError: not I/N, or a plan without a seed: the parts would draw their own.
    """
    if text is None:
        return 1, 1
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    number, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= parts:
        raise UserError(f"--part={text} must be I/N with I from 1 to N, such as 1/3.")
    if plan.seed is None:
        raise UserError(
            f"--part={text} needs a seed that all parts share: `seed = 0` in the plan, "
            "or --seed=0."
        )
    return number, parts


def _submission(plan: Plan, entry: Entry) -> Submission:
    own = {"submission_path": entry.path, "workload": plan.workloads[0]}
    for key in ("tuning_ruleset", "tuning_search_space"):
        if getattr(entry, key) is not None:
            own[key] = getattr(entry, key)
    if entry.name is not None:
        if not re.fullmatch(r"[^/\s][^/]*", entry.name) or entry.name.startswith("."):
            raise UserError(
                f"a submission of the plan has the name {entry.name!r}; it must be a "
                "folder's name."
            )
        own["experiment_name"] = entry.name
    # Only to find it: the flags of tasks are tried later, with the tasks.
    request = request_of([*flag_words(own), *_words(_data(plan, own["workload"]))])
    space = request.search_space
    words = (f"--tuning_ruleset={request.ruleset}",)
    if space is not None:
        words += (f"--tuning_search_space={space.absolute()}",)
    bundled = entry.path in bundled_submissions() and not Path(entry.path).exists()
    return Submission(
        name=request.experiment.name,
        # A name is the same on machines that have this package elsewhere.
        path=entry.path if bundled else str(request.submission),
        ruleset=request.ruleset,
        trials=plan.trials if request.ruleset == "external" else 1,
        words=() if bundled and entry.tuning_search_space is None else words,
    )


def _data(plan: Plan, workload: str) -> dict[str, FlagValue]:
    """The flags that say where a workload's data is."""
    own = {**plan.flags, **plan.flags_for.get(workload, {})}
    return {name: own[name] for name in ("data", "data_dir") if name in own}


def _one_of_each(sweep: Sweep) -> Iterator[Task]:
    """Tasks in which every submission and every workload comes once."""
    first = next(iter(sweep.tasks()))
    for submission in sweep.submissions:
        yield first._replace(submission=submission.name)
    for workload in sweep.workloads[1:]:
        yield first._replace(workload=workload)


def _words(own: Mapping[str, FlagValue]) -> tuple[str, ...]:
    paths = {
        name: str(Path(str(own[name])).expanduser().absolute())
        for name in _PATHS
        if name in own
    }
    return flag_words({**own, **paths})


def _words_as_flags(text: str) -> list[tuple[str, FlagValue]]:
    """`--a=1 --b` as names and values.

    Raises:
      UserError: a word that is no flag.
    """
    found: list[tuple[str, FlagValue]] = []
    for word in shlex.split(text):
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise UserError(
                f"--run_flags has {word!r}; flags are written --name=value there."
            )
        found.append((name, value if equals else True))
    return found


def _check_reference(plan: Plan) -> None:
    """A cap at four times a reference keeps scores for odd numbers of studies only."""
    capped = any(
        "reference_runtimes" in own for own in (plan.flags, *plan.flags_for.values())
    )
    if capped and len(plan.studies) % 2 == 0:
        raise UserError(
            f"reference_runtimes with {len(plan.studies)} studies: the median of an "
            "even number is the mean of two, and one beyond the cap could still count. "
            "Use an odd number of studies, or leave reference_runtimes out."
        )
