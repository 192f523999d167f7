"""One trial: trains until the target, the budget, or the submission ends it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import jax

from algoperf.checkpoint import Checkpoints
from algoperf.clock import Clock
from algoperf.data import Batches
from algoperf.dynamics import Dynamics
from algoperf.early_stop import EarlyStop
from algoperf.evaluate import evaluate
from algoperf.facts import UserError
from algoperf.jax_sharding_utils import commit, replicate
from algoperf.limits import Limits
from algoperf.metrics_logger import MetricsLogger
from algoperf.observer import Observer
from algoperf.profiling import Profiler
from algoperf.progress import Progress
from algoperf.spec import TrainingCompleteError
from algoperf.stop_request import StopRequest
from algoperf.submission import Submission, keep_everything
from algoperf.submission_calls import (
    check_model_state,
    check_not_donated,
    check_params,
    describe_failure,
    submission_code,
)
from algoperf.trackers import Trackers
from algoperf.train_state import TrainState, state_of, step_keys
from algoperf.trial_folder import TrialFolder, writing_to
from algoperf.watch import Watch
from algoperf.watchdog import Watchdog
from algoperf.workload import Workload


@dataclass
class Trial:
    """A trial in progress; `run` advances `state` and `progress`.

    Step n uses the keys fold_in(step_key, n), split into data, update, prepare, eval.
    """

    workload: Workload
    handed: Workload  # the copy that the submission gets
    submission: Submission
    hyperparameters: Any
    limits: Limits
    folder: TrialFolder
    observer: Observer
    checkpoints: Checkpoints | None
    clock: Clock
    batches: Batches
    step_key: jax.Array
    state: TrainState
    progress: Progress
    logger: MetricsLogger
    trackers: Trackers = field(default_factory=Trackers)
    watch: Watch | None = None
    eval_batch_size: int | None = None  # None: the workload's
    profiler: Profiler | None = None
    dynamics: Dynamics | None = None
    watchdog: Watchdog = field(default_factory=Watchdog)
    checkpoint_every_s: float | None = None  # None: at evaluations only
    saved_step: int | None = None
    saved_at_s: float = field(init=False)  # of submission time
    early_stop: EarlyStop = field(default_factory=EarlyStop)
    has_targets: bool = True  # not on random data, where metrics mean nothing
    queue: Iterator[Any] = field(init=False)
    shown_results: list[tuple[int, dict[str, float]]] = field(init=False)
    params_types: Any = field(init=False)

    def __post_init__(self) -> None:
        self.queue = self.clock.timed(self.batches)
        self._show_results()
        self.saved_at_s = self.progress.seconds.submission
        self.params_types = self.handed.model_params_types

    def run(self, stop: StopRequest) -> Progress:
        """Trains until the trial ends or `stop` asks for it; returns how far it got."""
        # What the harness itself compiles, and work that set-up left on the device,
        # is done before the clock runs.
        jax.block_until_ready((self._keys(), self.state))
        self.early_stop.look(self.progress)
        try:
            with self.clock.running():
                self._train(stop)
        except (UserError, KeyboardInterrupt):
            raise
        except Exception as error:
            message, text = describe_failure(error, self.submission.path.parent)
            self.observer.message(message)
            self.progress = replace(
                self.progress, outcome="failed", error=text, seconds=self.clock.read()
            )
        finally:
            if self.profiler is not None:
                self.profiler.close()
        return self.progress

    def _train(self, stop: StopRequest) -> None:
        while self.progress.outcome is None and stop.signal_number is None:
            self._step()
            spent_s = self.clock.submission_s()
            self.progress = self.limits.applied(self.progress, spent_s)
            self.progress = self.early_stop.applied(self.progress, spent_s)
            self.observer.stepped(self.progress, spent_s)
            if self.profiler is not None:
                self.profiler.stepped(self.progress.step, self.clock, self.state)
            if not self.limits.evaluation_due(self.progress, spent_s):
                if self._checkpoint_due(spent_s):
                    with self._paused(), self.clock.logging():
                        self._save_between()
                continue
            self._prepare_for_eval()
            with self._paused():
                if self.watch is not None:
                    self.watch.look(self.progress.step)
                self._check_state()
                self._evaluate()
                with self.clock.logging():
                    self._record()
        with self._paused(), self.clock.logging():
            self._finish()
        self.progress = replace(self.progress, seconds=self.clock.read())

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """The submission's time stands, once the device has made the state."""
        self._at("waiting for the device")
        with self.clock.paused(wait_for=self.state):
            yield

    def _at(self, doing: str) -> None:
        self.watchdog.at(doing, self.progress.step)

    def _step(self) -> None:
        """data_selection and update_params: everything here is the submission's."""
        self._at("a step")
        progress, step = self.progress, self.progress.step
        data_key, update_key, _, _ = self._keys()
        params, model_state, optimizer_state = self.state
        submission = self.submission
        try:
            with submission_code(submission.data_selection):
                batch = submission.data_selection(
                    self.handed,
                    self.queue,
                    optimizer_state,
                    params,
                    model_state,
                    self.hyperparameters,
                    step,
                    data_key,
                )
            with submission_code(submission.update_params):
                returned = submission.update_params(
                    batch=batch,
                    train_state=self._shown_progress(),
                    **self._arguments(update_key),
                )
                self.state = state_of("update_params", returned)
        except TrainingCompleteError:
            with submission_code(submission.update_params):
                check_not_donated(params)
            self.progress = progress.ended("stopped by submission")
            return
        self.progress = replace(progress, step=step + 1)

    def _prepare_for_eval(self) -> None:
        """prepare_for_eval: charged, and its results replace the training state."""
        self._at("prepare_for_eval")
        *_, prepare_key, _ = self._keys(after_step=True)
        prepare_for_eval = self.submission.prepare_for_eval
        try:
            with submission_code(prepare_for_eval):
                returned = prepare_for_eval(**self._arguments(prepare_key))
                self.state = state_of("prepare_for_eval", returned)
        except TrainingCompleteError:
            self.progress = self.progress.ended("stopped by submission")
        _, function = self._evaluated_function()
        with submission_code(function):
            check_not_donated(self.state.params)

    def _check_state(self) -> None:
        """Refuses what is no state of the model; between evaluations it may be any."""
        workload, state = self.workload, self.state
        name, function = self._evaluated_function()
        with submission_code(function):
            check_params(state.params, workload.param_shapes, name)
            check_model_state(state.model_state, workload.model_state_shapes, name)

    def _evaluated_function(self) -> tuple[str, Callable[..., Any]]:
        """The function whose results are evaluated, by name and itself."""
        if self.submission.prepare_for_eval is keep_everything:
            return "update_params", self.submission.update_params
        return "prepare_for_eval", self.submission.prepare_for_eval

    def _evaluate(self) -> None:
        # A submission may return arrays on one device: bring them where batches are.
        params, model_state = replicate((self.state.params, self.state.model_state))
        optimizer_state = commit(self.state.optimizer_state)
        self.state = TrainState(params, model_state, optimizer_state)
        *_, eval_key = self._keys(after_step=True)
        metrics = evaluate(
            self.workload,
            params,
            model_state,
            eval_key,
            self.eval_batch_size,
            progressed=lambda: self._at("an evaluation"),
        )
        if self.dynamics is not None:
            self.dynamics.log(params, model_state, self.progress.step, self.logger)
        self.progress = self.progress.evaluated(
            self.workload.facts,
            metrics,
            self.clock.read(),
            self.limits.max_runtime_s,
            self.has_targets,
        )
        self._show_results()

    def _show_results(self) -> None:
        """Copies for the submission: what it changes in them is not recorded."""
        self.shown_results = [
            (step, dict(values)) for step, values in self.progress.eval_results
        ]

    def _keys(self, after_step: bool = False) -> tuple[jax.Array, ...]:
        """The data, update, prepare and eval keys of the coming step, or the last."""
        return step_keys()(self.step_key, max(self.progress.step - after_step, 0))

    def _record(self) -> None:
        self._at("writing records")
        logged = self.logger.taken()
        with writing_to(self.folder.path):
            self.folder.append_evaluation(self.progress, logged)
        self.trackers.log(logged, self.progress.eval_results[-1])
        self._save()
        self.early_stop.look(self.progress)
        self.observer.evaluated(self.progress)

    def _finish(self) -> None:
        """After the last evaluation, or between two of them if a stop is asked for."""
        self._save_between()
        if self.checkpoints is not None:
            self.checkpoints.wait()

    def _checkpoint_due(self, spent_s: float) -> bool:
        # By the submission's time: all processes of a run see the same.
        every_s = self.checkpoint_every_s
        return every_s is not None and spent_s - self.saved_at_s >= every_s

    def _save_between(self) -> None:
        """A checkpoint that is not an evaluation's, and the rows that belong to it."""
        self._at("writing records")
        logged = self.logger.taken()
        with writing_to(self.folder.path):
            self.folder.measurements.append(logged)
        self.trackers.log(logged)
        self.progress = replace(self.progress, seconds=self.clock.read())
        self._save()

    def _save(self) -> None:
        self.saved_at_s = self.progress.seconds.submission
        if self.checkpoints is None or self.saved_step == self.progress.step:
            return
        self.progress = replace(
            self.progress,
            batches=self.batches.position,
            eval_rows=self.folder.evals.rows,
            measurement_rows=self.folder.measurements.rows,
        )
        self.saved_step = self.progress.step
        self.checkpoints.save(self.saved_step, self.state, self.progress.as_dict())

    def _arguments(self, rng: jax.Array) -> dict[str, Any]:
        """What update_params and prepare_for_eval both get."""
        params, model_state, optimizer_state = self.state
        return {
            "workload": self.handed,
            "current_param_container": params,
            "current_params_types": self.params_types,
            "model_state": model_state,
            "hyperparameters": self.hyperparameters,
            "loss_type": self.workload.loss_type,
            "optimizer_state": optimizer_state,
            "eval_results": self.shown_results,
            "global_step": self.progress.step,
            "rng": rng,
        }

    def _shown_progress(self) -> Mapping[str, Any]:
        seconds, limit_s = self.clock.read(), self.limits.max_runtime_s
        return self.progress.as_train_state(seconds, limit_s)
