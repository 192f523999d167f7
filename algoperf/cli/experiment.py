"""Runs what a command line asks for: workloads x studies x trials."""

import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from absl import flags

from algoperf.cli.run_command import Request
from algoperf.cli.screen import NoScreen, Screen, study_table
from algoperf.cluster import Alone, Hosts, ToldError
from algoperf.facts import Facts, UserError
from algoperf.hardware_probe import FULL_S, QUICK_S, probe
from algoperf.hosts import connect
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan, plan_study
from algoperf.submission import load_submission
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from algoperf.tuning import read_search_space, study_points
from algoperf.workload import Workload
from workloads.loading import load

EXIT_FAILED = EXIT_BAD_INPUT = 2


def run_experiment(request: Request) -> int:
    """Runs every study of every workload; returns the exit code."""
    # Libraries (Grain, TFDS) read absl flags of their own, which are never parsed
    # here: this command has no global flags.
    flags.FLAGS.mark_as_parsed()
    # Orbax logs what it raises, with a traceback; the message is ours to give.
    for name in ("absl", "asyncio", "concurrent.futures"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
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


def _run_all(request: Request, hosts: Hosts) -> int:
    # The name may have the time in it, which is not the same for all.
    experiment = hosts.agree(lambda: str(request.experiment))
    request = replace(request, experiment=Path(experiment))
    load_submission(request.submission)  # refused before anything is written
    studies = _plan_all(request, hosts)  # refuses before anything is trained
    hardware = _probed(request)
    stop = StopRequest(hosts)
    failed = 0
    with stop.listening():
        for facts in request.workloads:
            workload = load(facts.name, request.data_dir, request.data)
            for plans in studies[facts.name]:
                records = _run_study(request, workload, plans, hardware, stop, hosts)
                failed += sum(record["outcome"] == "failed" for record in records)
                if stop.signal_number is not None:
                    return _stopped(request, stop, hosts)
    if hosts.first:
        print(f"\nwritten to {request.experiment}", flush=True)
    if failed and hosts.first:
        print(
            f"algoperf: {failed} trial(s) failed; the tracebacks are in their "
            "trial.json. Failed trials are kept: run them again with --overwrite.",
            file=sys.stderr,
        )
    return EXIT_FAILED if failed else 0


def _probed(request: Request) -> dict[str, float] | None:
    """How fast this machine is: once a process, before any clock runs."""
    if request.probe == "off":
        return None
    return probe(FULL_S if request.probe == "full" else QUICK_S).as_dict()


def _plan_all(request: Request, hosts: Hosts) -> dict[str, list[Sequence[TrialPlan]]]:
    """The trials of every study of every workload, written down and to be run."""
    space = read_search_space(request.search_space) if request.search_space else None
    studies: dict[str, list[Sequence[TrialPlan]]] = {}
    for facts in request.workloads:
        studies[facts.name] = []
        for study in request.studies:
            points = [None]
            if space is not None:
                points = study_points(space, request.trials, study)
            # A part of a study cannot get other seeds or points than the rest of it.
            all_chosen = len(request.chosen(points)) == len(points)
            plans = plan_study(
                request.experiment,
                facts,
                study,
                points,
                request.seed,
                request.overwrite and all_chosen,
                hosts,
            )
            studies[facts.name].append(request.chosen(plans))
    return studies


def limits_for(request: Request, facts: Facts) -> Limits:
    """The budget and the evaluation period of a workload under these flags.

    A mini workload also ends after its step hint (times the runtime factor), so that
    its outcome does not depend on the machine.
    """
    max_steps = request.max_steps
    if max_steps is None and facts.scale == "mini":
        max_steps = round(facts.step_hint * request.runtime_factor)
    return Limits(
        max_runtime_s=facts.max_runtime_s * request.runtime_factor,
        max_steps=max_steps,
        eval_period_s=facts.eval_period_s,
        eval_every_steps=request.eval_every_steps or facts.eval_period_steps,
        skip_evals=request.skip_evals,
    )


def _run_study(
    request: Request,
    workload: Workload,
    plans: Sequence[TrialPlan],
    hardware: dict[str, float] | None,
    stop: StopRequest,
    hosts: Hosts,
) -> list[dict[str, Any]]:
    limits = limits_for(request, workload.facts)
    options = RunOptions(
        ruleset=request.ruleset,
        limits=limits,
        save_checkpoints=request.save_checkpoints,
        keep_checkpoints=request.keep_checkpoints,
        overwrite=request.overwrite,
        profile=request.profile,
        log_dynamics=request.log_dynamics,
        style=request.style,
        eval_batch_size=request.eval_batch_size,
        random_data=request.data.random,
        stop_when_beaten=request.stop_when_beaten,
        reference_s=request.reference_s.get(workload.facts.name),
        charge_compile=request.charge_compile,
        compilation_cache=request.compilation_cache,
        hardware=hardware,
        trackers=request.trackers,
        step_timeout_s=request.step_timeout_s,
        checkpoint_every_s=request.checkpoint_every_s,
        flags=request.flags,
    )
    records = []
    for plan in plans:
        screen = (
            Screen(plan.title, workload.facts, limits) if hosts.first else NoScreen()
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


def _stopped(request: Request, stop: StopRequest, hosts: Hosts) -> int:
    if not hosts.first:
        return stop.exit_code
    kept = (
        "the trial was saved; continue"
        if request.save_checkpoints
        else "nothing was saved (--nosave_checkpoints); start again"
    )
    print(
        f"\nalgoperf: stopped; {kept} with the same command line:\n  algoperf run "
        + shlex.join(sys.argv[2:]),
        file=sys.stderr,
    )
    return stop.exit_code
