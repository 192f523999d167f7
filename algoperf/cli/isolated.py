"""Runs every trial in a process of its own; this one plans them and is the witness.

It imports neither JAX nor the submission: what a submission does to its process does
not reach this one.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import workloads
from algoperf import confine, records
from algoperf.allowed import check_apart, environment, grants
from algoperf.cli.planning import plan_all, said_end, said_stopped, search_space_of
from algoperf.cli.run_command import Request
from algoperf.cli.screen import study_table
from algoperf.cluster import Alone
from algoperf.facts import Facts, UserError
from algoperf.folder_watch import (
    CHANGED,
    UNKNOWN,
    changed_files,
    finished_files,
    is_watched,
    unknown_files,
)
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.sweep.supervise import in_words
from algoperf.trial_folder import TrialFolder
from algoperf.trial_process import Witnessed, run_witnessed
from algoperf.tuning import SearchSpace
from algoperf.witness import Isolated

CLOCK = "the trial's clock and the one of the process that started it differ"
LEFT = "a process outlived the trial and was ended"
_SIGNALLED = 128
_BAD_INPUT = 2


@dataclass(frozen=True)
class Job:
    """What the process of one trial is to do.

    `request` has no workloads: facts do not pickle, and `workload` names the one.
    """

    request: Request
    workload: str
    space: SearchSpace | None
    study: int
    trial: int
    seed: int
    folder: Path
    isolated: Isolated


def run_isolated(request: Request) -> int:
    """Runs every study of every workload; returns the exit code.

    Raises:
      UserError: flags that contradict each other, or a system that cannot do it.
    """
    _check(request)
    space = search_space_of(request)
    studies = plan_all(request, space, Alone())
    stop, failed = StopRequest(), 0
    with stop.listening():
        for facts in request.workloads:
            for plans in studies[facts.name]:
                found: list[dict[str, Any]] = []
                for plan in plans:
                    code = _run_trial(request, facts, plan, space, stop)
                    if stop.signal_number is not None:
                        return said_stopped(request, stop)
                    record = records.read_json(plan.folder / records.TRIAL) or {}
                    if code > _SIGNALLED or record.get("outcome") is None:
                        return code or _BAD_INPUT
                    found.append(record)
                failed += sum(record["outcome"] == "failed" for record in found)
                _show(request, facts, plans, found)
    return said_end(request, failed)


def _check(request: Request) -> None:
    flag = f"--isolate={request.isolate}"
    if request.cluster is not None:
        raise UserError(
            f"{flag} with several processes a trial (--distributed, "
            "--coordinator_address): give --isolate=off there."
        )
    if request.isolate == "strict":
        if request.stop_when_beaten:
            raise UserError(
                f"{flag} with --stop_when_beaten: a trial has to read its siblings for "
                "that. Leave one of them out."
            )
        check_apart(_submission_folder(request), request.experiment.parent)


def _run_trial(
    request: Request,
    facts: Facts,
    plan: TrialPlan,
    space: SearchSpace | None,
    stop: StopRequest,
) -> int:
    """Runs a trial and writes what was seen from here into its record."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    before = finished_files(plan.folder)
    with TemporaryDirectory(prefix="algoperf_trial_") as name:
        scratch = Path(name).resolve()
        (scratch / "tmp").mkdir()
        pipe = os.pipe()
        assert request.isolate != "off"
        isolated = Isolated(
            request.isolate, pipe[1], scratch, _sealed(request), _may_write(request)
        )
        job = Job(
            replace(request, workloads=()),
            facts.name,
            space,
            plan.study,
            plan.trial,
            plan.seed,
            plan.folder,
            isolated,
        )
        file = scratch / "job.pickle"
        file.write_bytes(pickle.dumps(job))
        command = [*_python(), "-P", "-m", "algoperf.cli.isolated_trial", str(file)]
        if request.isolate == "strict":
            command = _confined(request, plan.folder, scratch) + command
        own = environment(os.environ, scratch, bool(request.trackers))
        witnessed = run_witnessed(command, own, pipe, stop)
    _write_down(plan.folder, witnessed, before)
    if witnessed.code < 0 and stop.signal_number is None:
        words = in_words(witnessed.code)
        print(f"algoperf: {plan.title}: its process was {words}", file=sys.stderr)
        return _SIGNALLED - witnessed.code
    return witnessed.code


def _python() -> list[str]:
    # Warnings that are asked for by -W are asked for in the trial, too.
    return [sys.executable, *(f"-W{option}" for option in sys.warnoptions)]


def _confined(request: Request, folder: Path, scratch: Path) -> list[str]:
    """The words that a command without network and with few files begins with.

    Raises:
      UserError: this system cannot do that.
    """
    read = [_submission_folder(request)]
    if request.data_dir is not None:
        read.append(request.data_dir)
    write = [scratch, folder, *_may_write(request)]
    file = scratch / "grants.json"
    records.write_json(file, grants(read, write, request.experiment.parent))
    begin = [sys.executable, "-I", "-S", os.path.abspath(confine.__file__), str(file)]
    tried = subprocess.run(
        [*begin, sys.executable, "-I", "-S", "-c", ""], capture_output=True, text=True
    )
    if tried.returncode:
        raise UserError(tried.stderr.strip().removeprefix("algoperf: "))
    return begin


def _sealed(request: Request) -> tuple[Path, ...]:
    """Other trials' files, and the data: what was downloaded, and what is bundled."""
    folders = [request.experiment.parent, request.data_dir]
    root = Path(workloads.__file__).parent
    bundled = [
        path
        for path in root.rglob("*")
        if path.suffix not in (".py", ".pyc") and path.is_file()
    ]
    return (*(folder for folder in folders if folder is not None), *bundled)


def _may_write(request: Request) -> tuple[Path, ...]:
    if request.compilation_cache is None:
        return ()
    request.compilation_cache.mkdir(parents=True, exist_ok=True)
    return (request.compilation_cache,)


def _submission_folder(request: Request) -> Path:
    path = request.submission
    return path if path.is_dir() else path.parent


def _write_down(folder: Path, seen: Witnessed, before: dict[Any, Any]) -> None:
    """Adds to `trial.json` what only this process knows."""
    found = [(LEFT, name) for name in seen.left]
    found += [(CHANGED, str(path)) for path in changed_files(before)]
    found += [(UNKNOWN, path.name) for path in unknown_files(folder)]
    if seen.differs:
        times = f"{seen.accounted_s:.1f} s there, {seen.witnessed_s:.1f} s here"
        found.append((CLOCK, times))
    try:
        trial = TrialFolder(folder)
    except UserError:  # another process runs it now: the record is its own
        return
    try:
        record = trial.read_trial()
        if not isinstance(record, dict):
            return
        new = seen.trained or is_watched(record) is False
        if not (new or found):
            return  # done before: it stays as it is
        if new:
            record["environments"][-1]["isolation"] |= {
                "watched": True,
                "witnessed_s": seen.witnessed_s,
                "accounted_s": seen.accounted_s,
            }
        known = [(entry["what"], entry["detail"]) for entry in record["findings"]]
        for what, detail in found:
            if (what, detail) not in known:
                finding = {"what": what, "step": record["steps"], "detail": detail}
                record["findings"].append(finding)
                print(f"noted in {folder / records.TRIAL}: {what} ({detail})")
        trial.write_trial(record)
    finally:
        trial.close()


def _show(
    request: Request,
    facts: Facts,
    plans: Sequence[TrialPlan],
    found: Sequence[dict[str, Any]],
) -> None:
    print(f"\n{request.experiment.name} {facts.name} study {plans[0].study}:")
    print(study_table(found) + "\n", flush=True)
