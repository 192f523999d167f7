"""What a run does before its first trial and after its last; none of it needs JAX."""

import sys
from collections.abc import Sequence

from algoperf.cli.again import this_line
from algoperf.cli.run_command import Request
from algoperf.cluster import Hosts
from algoperf.facts import Facts
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan, plan_study
from algoperf.tuning import SearchSpace, read_search_space, study_points

EXIT_FAILED = 2


def search_space_of(request: Request) -> SearchSpace | None:
    """The search space of a request; None under the self-tuning ruleset."""
    return read_search_space(request.search_space) if request.search_space else None


def plan_all(
    request: Request, space: SearchSpace | None, hosts: Hosts
) -> dict[str, list[Sequence[TrialPlan]]]:
    """The trials of every study of every workload, written down and to be run."""
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


def said_stopped(request: Request, stop: StopRequest) -> int:
    """Says how to go on after a stop; returns the exit code."""
    kept = (
        "the trial was saved; continue"
        if request.save_checkpoints
        else "nothing was saved (--nosave_checkpoints); start again"
    )
    print(
        f"\nalgoperf: stopped; {kept} with this command line:\n  "
        + this_line(request.experiment.name),
        file=sys.stderr,
    )
    return stop.exit_code


def said_end(request: Request, failed: int) -> int:
    """Says where everything is, and how many trials failed; returns the exit code."""
    print(f"\nwritten to {request.experiment}", flush=True)
    if failed:
        print(
            f"algoperf: {failed} trial(s) failed; the tracebacks are in their "
            "trial.json. Failed trials are kept. To run trial N again, add --overwrite "
            "--hparam_start_index=N-1 --hparam_end_index=N; without the indices the "
            "others begin anew too.",
            file=sys.stderr,
        )
    return EXIT_FAILED if failed else 0
