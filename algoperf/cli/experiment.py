"""Runs what a command line asks for: workloads x studies x trials."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from absl import flags

from algoperf.cli.isolated import Job
from algoperf.cli.planning import (
    EXIT_FAILED,
    limits_for,
    plan_all,
    said_end,
    said_stopped,
    search_space_of,
)
from algoperf.cli.run_command import Request
from algoperf.cli.screen import NoScreen, Screen, study_table
from algoperf.cluster import Alone, Hosts, ToldError
from algoperf.facts import Facts, UserError
from algoperf.hardware_probe import FULL_S, QUICK_S, probe
from algoperf.hosts import connect
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.submission import load_submission
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from algoperf.tuning import study_points
from algoperf.workload import Workload
from workloads.loading import load

EXIT_BAD_INPUT = 2


def run_experiment(request: Request) -> int:
    """Runs every study of every workload; returns the exit code."""
    _quiet_libraries()
    hosts = connect(request.cluster) if request.cluster else Alone()
    try:
        return _run_all(request, hosts)
    except ToldError:
        return EXIT_BAD_INPUT  # shown by the first process
    except UserError as error:
        hosts.tell(error)
        raise
    finally:
        hosts.close()


def _quiet_libraries() -> None:
    # Libraries (Grain, TFDS) read absl flags of their own, which are never parsed
    # here: this command has no global flags.
    flags.FLAGS.mark_as_parsed()
    # Orbax logs what it raises, with a traceback; the message is ours to give.
    for name in ("absl", "asyncio", "concurrent.futures"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def run_job(job: Job) -> int:
    """Runs the one trial that this process is for; returns the exit code."""
    _quiet_libraries()
    request = job.request
    points = [None] * job.trial
    if job.space is not None:
        points = study_points(job.space, request.trials, job.study)
    point = points[job.trial - 1]
    plan = TrialPlan(job.study, job.trial, job.seed, point, job.folder)
    hardware, stop = probed(request), StopRequest()
    with stop.listening():
        workload = load(job.workload, request.data_dir, request.data)
        options = options_for(request, workload.facts, hardware)
        screen = Screen(plan.title, workload.facts, options.limits)
        record = TrialRun(
            plan,
            workload,
            request.submission,
            options,
            screen,
            isolated=job.isolated,
        ).run(stop)
    if stop.signal_number is not None:
        return stop.exit_code
    return EXIT_FAILED if record["outcome"] == "failed" else 0


def _run_all(request: Request, hosts: Hosts) -> int:
    # The name may have the time in it, which is not the same for all.
    experiment = hosts.agree(lambda: str(request.experiment))
    request = replace(request, experiment=Path(experiment))
    load_submission(request.submission)  # refused before anything is written
    studies = plan_all(
        request, search_space_of(request), hosts
    )  # refuses before anything is trained
    hardware = probed(request)
    stop = StopRequest(hosts)
    failed = 0
    with stop.listening():
        for facts in request.workloads:
            workload = load(facts.name, request.data_dir, request.data)
            for plans in studies[facts.name]:
                records = _run_study(request, workload, plans, hardware, stop, hosts)
                failed += sum(record["outcome"] == "failed" for record in records)
                if stop.signal_number is not None:
                    return (
                        said_stopped(request, stop) if hosts.first else stop.exit_code
                    )
    if hosts.first:
        return said_end(request, failed)
    return EXIT_FAILED if failed else 0


def probed(request: Request) -> dict[str, float] | None:
    """How fast this machine is: once a process, before any clock runs."""
    if request.probe == "off":
        return None
    return probe(FULL_S if request.probe == "full" else QUICK_S).as_dict()


def options_for(
    request: Request, facts: Facts, hardware: dict[str, float] | None
) -> RunOptions:
    """How the trials of one workload are run."""
    return RunOptions(
        ruleset=request.ruleset,
        limits=limits_for(request, facts),
        save_checkpoints=request.save_checkpoints,
        keep_checkpoints=request.keep_checkpoints,
        overwrite=request.overwrite,
        profile=request.profile,
        log_dynamics=request.log_dynamics,
        style=request.style,
        eval_batch_size=request.eval_batch_size,
        random_data=request.data.random,
        stop_when_beaten=request.stop_when_beaten,
        stop_when_hopeless=request.stop_when_hopeless,
        reference_s=request.reference_s.get(facts.name),
        charge_compile=request.charge_compile,
        compilation_cache=request.compilation_cache,
        hardware=hardware,
        trackers=request.trackers,
        step_timeout_s=request.step_timeout_s,
        checkpoint_every_s=request.checkpoint_every_s,
        flags=request.flags,
    )


def _run_study(
    request: Request,
    workload: Workload,
    plans: Sequence[TrialPlan],
    hardware: dict[str, float] | None,
    stop: StopRequest,
    hosts: Hosts,
) -> list[dict[str, Any]]:
    options = options_for(request, workload.facts, hardware)
    records = []
    for plan in plans:
        screen = (
            Screen(plan.title, workload.facts, options.limits)
            if hosts.first
            else NoScreen()
        )
        run = TrialRun(plan, workload, request.submission, options, screen, hosts)
        record = run.run(stop)
        records.append(record)
        if stop.signal_number is not None:
            return records
    if hosts.first:
        study = plans[0].study
        print(f"\n{request.experiment.name} {workload.facts.name} study {study}:")
        print(study_table(records) + "\n", flush=True)
    return records
