"""Pre-flight of a request: every workload compiled, tried, and its cost told."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from algoperf.cli.planning import limits_for
from algoperf.cli.preflight_report import Cost, cost_of, lines, total_lines
from algoperf.cli.result_line import Line
from algoperf.cli.run_command import Request
from algoperf.device_memory import device_free_bytes, device_limit_bytes
from algoperf.facts import Facts, UserError
from algoperf.hardware_probe import matmul_flop_per_s
from algoperf.pmap_style import as_jit_style, style_of
from algoperf.preflight import (
    Preflight,
    compiled_preflight,
    evaluation_size,
    measure,
)
from algoperf.records import write_json
from algoperf.submission import Submission, load_submission, submission_file
from algoperf.submission_calls import SubmissionFailed, describe_failure
from algoperf.tuning import read_search_space, study_points
from algoperf.workload import Workload
from workloads.files import presence
from workloads.loading import load, without_data

EXIT_FOUND = 1


@dataclass(frozen=True)
class PreflightOptions:
    """How far to go: `steps` real steps, in about `budget_s` seconds a workload.

    `memory_bytes` of a device instead of what this one has; `output` is a JSON file.
    """

    steps: int
    budget_s: float
    memory_bytes: int | None
    output: Path | None


def run_preflight(request: Request, options: PreflightOptions) -> int:
    """Prints every workload's lines and the sum; 0 if nothing is bad, else 1."""
    preflights = Preflights(request, options)
    bad = False
    for facts in request.workloads:
        for line in preflights.of(facts):
            print(line, flush=True)
            bad = bad or line.ok is False
    for line in total_lines(preflights.costs, _free_bytes(request)):
        print(line)
        bad = bad or line.ok is False
    if options.output is not None:
        write_json(options.output, [cost.as_dict() for cost in preflights.costs])
        print(f"    written: {options.output}")
    return EXIT_FOUND if bad else 0


class Preflights:
    """The pre-flights of a request; `costs` fills up as workloads are looked at."""

    def __init__(self, request: Request, options: PreflightOptions):
        self._request, self._options = request, options
        self._memory_bytes = options.memory_bytes or device_limit_bytes()
        self._flop_per_s = matmul_flop_per_s()
        self._points = [None]
        if request.search_space is not None:
            space = read_search_space(request.search_space)
            self._points = request.chosen(study_points(space, request.trials))
        self.costs: list[Cost] = []

    def of(self, facts: Facts) -> Iterator[Line]:
        """The lines of one workload; what goes wrong in it is one of them."""
        jax.clear_caches()
        try:
            workload = _loaded(facts, self._request)
            found = self._examined(workload)
        except (SubmissionFailed, ValueError, jax.errors.JaxRuntimeError) as error:
            folder = submission_file(self._request.submission).parent
            message, _ = describe_failure(error, folder)
            yield Line(False, f"{facts.name} {message}")
            return
        cost = cost_of(
            facts,
            found,
            limits_for(self._request, facts),
            self._flop_per_s,
            trials=len(self._points) * len(self._request.studies),
            checkpoints_kept=self._kept_checkpoints(),
        )
        self.costs.append(cost)
        yield from lines(cost, self._memory_bytes, _free_bytes(self._request))

    def _kept_checkpoints(self) -> int | None:
        return self._request.keep_checkpoints if self._request.save_checkpoints else 0

    def _examined(self, workload: Workload) -> Preflight:
        """Compiled, and then run if it fits into memory and time."""
        point, options = self._points[0], self._options
        submission = self._fresh_submission()
        eval_size = evaluation_size(
            submission, workload.facts, self._request.eval_batch_size
        )
        found = compiled_preflight(workload, submission, point, eval_size)
        if not options.steps or not self._can_run(found):
            return found
        measured = measure(
            workload,
            self._fresh_submission(),
            point,
            eval_size,
            options.steps,
            options.budget_s,
        )
        return replace(found, measured=measured)

    def _fresh_submission(self) -> Submission:
        """As every trial gets it: nothing that was traced may be left in its module."""
        submission = load_submission(self._request.submission)
        if style_of(submission, self._request.style) == "pmap":
            return as_jit_style(submission)
        return submission

    def _can_run(self, found: Preflight) -> bool:
        """What cannot be planned is tried: there is no other way to know."""
        planned = found.planned_peak_bytes
        room = min(self._memory_bytes, device_free_bytes())
        if planned is not None and planned > room:
            return False
        step_s = found.step_s(self._flop_per_s)
        # Two steps that warm up, and one that counts.
        return step_s is None or 3 * step_s <= self._options.budget_s


def _loaded(facts: Facts, request: Request) -> Workload:
    """The workload with its data, or with random batches where that is not there."""
    there = presence(facts, request.data_dir) in ("prepared", "bundled")
    if there and not request.data.random:
        return load(facts.name, request.data_dir, request.data)
    return without_data(facts.name)


def _free_bytes(request: Request) -> int:
    """Free bytes where the experiment will be, which need not be there yet."""
    folder = request.experiment
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(
            f"cannot look at {folder}: {error.strerror or error}"
        ) from error


def options_from(values: Any) -> PreflightOptions:
    """The flags of a pre-flight."""
    memory_gb = values.device_memory_gb
    return PreflightOptions(
        steps=values.steps,
        budget_s=values.measure_s,
        memory_bytes=round(memory_gb * 1e9) if memory_gb is not None else None,
        output=Path(values.preflight_json) if values.preflight_json else None,
    )
