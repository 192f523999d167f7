"""What a trial will need and how long it will take, found out before it starts."""

import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import jax

from algoperf.clock import Clock
from algoperf.compiled_step import NEEDS_VALUES, Programs, compile_trial, tree_bytes
from algoperf.device_memory import peak_bytes
from algoperf.facts import EVAL_SPLITS, Facts
from algoperf.jax_sharding_utils import commit, replicate
from algoperf.limits import Limits
from algoperf.submission import Submission, eval_batch_size
from algoperf.submission_calls import SubmissionFailed, check_params, submission_code
from algoperf.submission_check import Caller
from algoperf.workload import Workload

# The first step compiles; the second one may have to, since what init_optimizer_state
# made was placed otherwise.
_WARM_STEPS = 2
# Checkpoints on the disk at once: those kept, and the one that is being written.
_BEING_WRITTEN = 1


@dataclass(frozen=True)
class Measured:
    """What real steps on this hardware took.

    `compile_s` is what `trial.json` would call so. `peak_bytes` is None on CPUs, and
    where an earlier workload of the process needed more.
    """

    batch_size: int
    steps: int
    step_s: float
    compile_s: float
    eval_batch_s: float
    state_bytes: int
    peak_bytes: int | None


@dataclass(frozen=True)
class Preflight:
    """What is known of a trial: `programs` from XLA, `measured` from running it.

    Either may be None: a step that needs values cannot be compiled ahead, for
    `untraceable` says why; and a step that does not fit is not run.
    """

    eval_batch_size: int
    programs: Programs | None
    measured: Measured | None = None
    untraceable: str = ""

    @property
    def batch_size(self) -> int | None:
        known = self.programs or self.measured
        return known.batch_size if known else None

    @property
    def state_bytes(self) -> int | None:
        known = self.programs or self.measured
        return known.state_bytes if known else None

    @property
    def planned_peak_bytes(self) -> int | None:
        """The larger of training and evaluation, by XLA's plan; None without one."""
        if self.programs is None:
            return None
        return max(self.programs.step_peak_bytes, self.programs.eval_peak_bytes)

    @property
    def peak_bytes(self) -> int | None:
        """What one device needs: measured where that is more than planned."""
        known = [
            self.planned_peak_bytes,
            self.measured.peak_bytes if self.measured else None,
        ]
        return max((size for size in known if size is not None), default=None)

    @property
    def compile_s(self) -> float | None:
        """Of both programs, without what is small."""
        if self.measured is not None:
            return self.measured.compile_s
        if self.programs is None:
            return None
        return self.programs.step.compile_s

    def step_s(self, flop_per_s: float) -> float | None:
        """Measured, else XLA's count of operations at a rate: a lower bound."""
        if self.measured is not None:
            return self.measured.step_s
        return _derived_s(
            self.programs.step.flop if self.programs else None, flop_per_s
        )

    def eval_batch_s(self, flop_per_s: float) -> float | None:
        """The same of one batch of an evaluation."""
        if self.measured is not None:
            return self.measured.eval_batch_s
        flop = self.programs.evaluation.flop if self.programs else None
        return _derived_s(flop, flop_per_s)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def compiled_preflight(
    workload: Workload, submission: Submission, hyperparameters: Any, eval_size: int
) -> Preflight:
    """Compiles what a trial runs, on shapes alone.

    Raises:
      SubmissionFailed, ValueError: what would end a trial as failed.
    """
    caller = Caller(workload, submission, hyperparameters)
    try:
        return Preflight(eval_size, compile_trial(caller, eval_size))
    except SubmissionFailed as error:
        if not isinstance(error.__cause__, NEEDS_VALUES):
            raise
        return _untraceable(eval_size, error.__cause__)
    except NEEDS_VALUES as error:  # raised when the trace of a step is closed
        return _untraceable(eval_size, error)


def measure(
    workload: Workload,
    submission: Submission,
    hyperparameters: Any,
    eval_size: int,
    steps: int,
    budget_s: float,
) -> Measured:
    """Runs `steps` steps after two that warm up, and an evaluation batch.

    Ends early after `budget_s` seconds of steps, but not before one that was warm.

    Raises:
      SubmissionFailed, ValueError: what would end a trial as failed.
    """
    caller = Caller(workload, submission, hyperparameters)
    before = peak_bytes()
    key = jax.random.PRNGKey(0)
    batch_size = caller.batch_size()
    queue = workload.batches("train", batch_size)
    queue.fetch_ahead()
    state = caller.start(key)
    state = state._replace(optimizer_state=commit(state.optimizer_state))
    jax.block_until_ready(state)
    state_bytes = tree_bytes(state)
    clock, durations = Clock(), []
    with clock.running():
        while len(durations) < _WARM_STEPS + steps:
            start = time.perf_counter()
            state = caller.step(state, queue, len(durations), key)
            with submission_code(submission.update_params):
                jax.block_until_ready(state)
            durations.append(time.perf_counter() - start)
            if len(durations) > _WARM_STEPS and sum(durations) > budget_s:
                break
    check_params(state.params, workload.param_shapes, "update_params")
    state = caller.prepare(state, len(durations), key)
    params, model_state = replicate((state.params, state.model_state))
    eval_batch_s = _eval_batch_s(workload, params, model_state, eval_size)
    after = peak_bytes()
    return Measured(
        batch_size=batch_size,
        steps=len(durations) - _WARM_STEPS,
        step_s=median(durations[_WARM_STEPS:]),
        compile_s=clock.read().compile,
        eval_batch_s=eval_batch_s,
        state_bytes=state_bytes,
        peak_bytes=after if before is None or after != before else None,
    )


def _eval_batch_s(
    workload: Workload, params: Any, model_state: Any, eval_size: int
) -> float:
    key = jax.random.PRNGKey(0)
    batch = next(workload.batches("validation", eval_size))
    durations = []
    for _ in range(2):  # the first one compiles
        start = time.perf_counter()
        jax.block_until_ready(workload.measure(params, model_state, batch, key))
        durations.append(time.perf_counter() - start)
    return durations[-1]


def evaluation_size(
    submission: Submission, facts: Facts, asked: int | None = None
) -> int:
    """The batch size of evaluations, rounded up to a multiple of the device count."""
    with submission_code(submission.get_eval_batch_size or submission.get_batch_size):
        size = asked or eval_batch_size(submission, facts)
    devices = jax.device_count()
    return -(-size // devices) * devices


def eval_batches(facts: Facts, eval_size: int) -> int:
    """Batches of one evaluation: every split is a padded pass of its own."""
    return sum(-(-facts.examples.get(split, 0) // eval_size) for split in EVAL_SPLITS)


@dataclass(frozen=True)
class Course:
    """How a trial goes that does not reach its target: seconds and evaluations.

    `charged_s` is the submission's time, `eval_s` that of all evaluations, which is
    not charged but passes.
    """

    steps: int
    charged_s: float
    evaluations: int
    eval_s: float
    checkpoints: int

    @property
    def total_s(self) -> float:
        return self.charged_s + self.eval_s

    @property
    def eval_share(self) -> float:
        """Of all seconds, those in evaluations."""
        return self.eval_s / self.total_s if self.total_s else 0.0


def course(
    steps: int, limits: Limits, step_s: float, compile_s: float, one_eval_s: float
) -> Course:
    """A trial of at most so many steps within its limits.

    An evaluation comes after the first step, then once a period, and at the end.
    """
    if limits.max_steps is not None:
        steps = min(steps, limits.max_steps)
    steps = max(min(steps, int((limits.max_runtime_s - compile_s) / step_s)), 1)
    charged_s = min(compile_s + steps * step_s, limits.max_runtime_s)
    if limits.skip_evals:
        evaluations = 0
    elif limits.eval_every_steps is not None:
        # Steps 1, n, 2n, ..., and the last one if it is none of these.
        every = limits.eval_every_steps
        evaluations = steps // every + (every > 1) + (steps > 1 and steps % every > 0)
    else:
        period_s = limits.eval_period_s or charged_s
        by_time = 1 + int(charged_s // period_s) + (charged_s % period_s > 0)
        evaluations = min(by_time, steps)  # at most one after each step
    return Course(steps, charged_s, evaluations, evaluations * one_eval_s, evaluations)


def checkpoint_disk_bytes(
    state_bytes: int, kept: int | None, checkpoints: int, trials: int = 1
) -> int:
    """Room for the checkpoints of some trials, one after the other, at their most.

    Args:
      kept: checkpoints of a trial that stay; None keeps all `checkpoints` it saves.
    """
    if kept == 0 or checkpoints == 0:
        return 0
    stay = checkpoints if kept is None else min(kept, checkpoints)
    return state_bytes * (stay * trials + _BEING_WRITTEN)


def _derived_s(flop: float | None, flop_per_s: float) -> float | None:
    return flop / flop_per_s if flop and flop > 0 else None


def _untraceable(eval_size: int, error: BaseException | None) -> Preflight:
    first_line = str(error).partition("\n")[0]
    return Preflight(
        eval_size, None, untraceable=f"{type(error).__name__}: {first_line}"
    )
