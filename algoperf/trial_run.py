"""One trial in its folder: started, resumed from its checkpoint, or already done."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax

from algoperf.audit import watch_events
from algoperf.checkpoint import Checkpoints
from algoperf.clock import AgreedClock, Clock, WitnessedClock
from algoperf.cluster import Alone, Hosts
from algoperf.compile_cache import compile_cache
from algoperf.dynamics import Dynamics
from algoperf.early_stop import EarlyStop, early_stop_of
from algoperf.environment import meta_data
from algoperf.handed_workload import handed_to_submission
from algoperf.metrics_logger import MetricsLogger
from algoperf.observer import Observer
from algoperf.own_code import own_code
from algoperf.pmap_style import as_jit_style, style_of
from algoperf.profiling import Profiler
from algoperf.progress import Progress
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.submission import (
    Submission,
    load_submission,
    submission_file,
)
from algoperf.submission_calls import (
    SubmissionFailed,
    batch_sizes,
    describe_failure,
)
from algoperf.train_state import TrainState, initial_state, seed_of
from algoperf.trial import Trial
from algoperf.trial_folder import TrialFolder, cannot_write
from algoperf.trial_parts import TrialParts, opened_parts
from algoperf.trial_record import new_record, now, remarks, results
from algoperf.trial_settings import (
    RunOptions,
    check_devices,
    earlier_record,
    settings_of,
)
from algoperf.watch import Watch
from algoperf.witness import Isolated
from algoperf.workload import Workload


@dataclass(frozen=True)
class TrialRun:
    """Everything one trial needs; `run` may be called again to continue it."""

    plan: TrialPlan
    workload: Workload
    submission_path: Path
    options: RunOptions
    observer: Observer
    hosts: Hosts = field(default_factory=Alone)
    isolated: Isolated | None = None  # in a process of its own

    def run(self, stop: StopRequest) -> dict[str, Any]:
        """Runs the trial to its end, unless it has ended before or `stop` asks.

        Returns:
          What `trial.json` now says; its `outcome` is None only after a stop.

        Raises:
          UserError: the folder has other settings, cannot be written, or is in use;
            or the submission cannot be loaded.
        """
        try:
            return self._run(stop)
        except OSError as error:  # a submission's own comes as SubmissionFailed
            raise cannot_write(self.plan.folder, error) from error

    def _run(self, stop: StopRequest) -> dict[str, Any]:
        # Every trial pays for its own tracing and compiling, not only the first one.
        jax.clear_caches()
        watch = self._watch()
        submission = load_submission(self.submission_path)
        with self._folder() as folder:
            settings = settings_of(self.plan, self.workload, submission, self.options)
            overwrite = self.options.overwrite
            earlier = self.hosts.agree(
                lambda: earlier_record(folder, settings, overwrite)
            )
            if earlier.get("outcome") is not None:
                self.observer.message(
                    f"already done: {earlier['outcome']} after "
                    f"{earlier['steps']:,} steps"
                )
                return earlier
            style = style_of(submission, self.options.style)
            record = new_record(
                self.plan, self.workload, submission, settings, earlier, style
            )
            here = record["environments"][-1]
            changes = self.hosts.agree(lambda: check_devices(folder, earlier, here))
            for remark in (*remarks(record, self.workload.facts), *changes):
                self.observer.message(remark)
            if style == "pmap":
                submission = as_jit_style(submission)
            watch.continued(record["findings"])
            record["findings"] = watch.findings
            here["hardware"] = self.options.hardware
            if self.isolated is not None:
                here["isolation"] = self.isolated.as_record()
            folder.write_trial(record)
            with compile_cache(self.options.compilation_cache) as use:
                progress = self._train(submission, folder, record, stop, watch)
            watch.look(progress.step)
            here["compilation_cache"] = use.as_dict()
            record |= results(self.workload.facts, progress)
            if progress.outcome is not None:
                record["ended_at"] = now()
                folder.append_end(progress)
            folder.write_trial(record)
            if progress.outcome is not None:
                self.observer.ended(record)
            return record

    def _watch(self) -> Watch:
        """Looks at how all is before the submission is loaded."""
        own = own_code(submission_file(self.submission_path))
        watch = Watch(self.workload, own, self.observer.message)
        if self.isolated is not None:
            watch_events(self.isolated, own, watch.note)
        return watch

    @contextmanager
    def _folder(self) -> Iterator[TrialFolder]:
        """The trial's folder; processes besides the first write into one of no use."""
        with ExitStack() as stack:
            path = self.plan.folder
            if not self.hosts.first:
                path = Path(stack.enter_context(TemporaryDirectory(prefix="algoperf")))
            yield stack.enter_context(closing(TrialFolder(path)))

    def _train(
        self,
        submission: Submission,
        folder: TrialFolder,
        record: dict[str, Any],
        stop: StopRequest,
        watch: Watch,
    ) -> Progress:
        """Sets the trial up and trains; a submission that raises ends as `failed`."""
        opened = opened_parts(
            self.plan, self.options, self.observer, self.hosts, folder, record, watch
        )
        with opened as parts:
            try:
                trial = self._start(submission, parts)
            except SubmissionFailed as error:
                message, text = describe_failure(error, submission.path.parent)
                self.observer.message(message)
                return Progress(outcome="failed", error=text)
            return trial.run(stop)

    def _start(self, submission: Submission, parts: TrialParts) -> Trial:
        options, facts = self.options, self.workload.facts
        batch_size, named_size = batch_sizes(submission, facts)
        parts.record["batch_size"] = batch_size
        data_key, optimizer_key, model_key, step_key = jax.random.split(
            jax.random.PRNGKey(self.plan.seed), 4
        )
        handed = handed_to_submission(self.workload)
        parts.watch.handed(handed)
        state = initial_state(
            self.workload,
            handed,
            submission,
            self.plan.hyperparameters,
            (model_key, optimizer_key),
        )
        state, progress = self._restored(state, parts.folder, parts.checkpoints)
        self._open_charts(parts, progress)
        logger = MetricsLogger()
        handed.attach_metrics_logger(logger)
        batches = self.workload.batches(
            "train", batch_size, seed_of(data_key), progress.batches
        )
        batches.fetch_ahead()
        return Trial(
            workload=self.workload,
            handed=handed,
            submission=submission,
            hyperparameters=self.plan.hyperparameters,
            limits=options.limits,
            folder=parts.folder,
            observer=self.observer,
            checkpoints=parts.checkpoints,
            clock=self._clock(progress),
            batches=batches,
            step_key=step_key,
            state=state,
            progress=progress,
            logger=logger,
            trackers=parts.trackers,
            watchdog=parts.watchdog,
            checkpoint_every_s=options.checkpoint_every_s,
            profiler=self._profiler(parts.folder),
            dynamics=self._dynamics(state, progress, batch_size),
            eval_batch_size=options.eval_batch_size or named_size,
            saved_step=progress.step if progress.preemption_count else None,
            early_stop=self._early_stop(parts.record["settings"]),
            has_targets=not self.options.random_data,
            watch=parts.watch,
        )

    def _open_charts(self, parts: TrialParts, progress: Progress) -> None:
        config = {"workload": self.workload.facts.name, "seed": self.plan.seed}
        config |= self.plan.point or {}
        folder, first_step = parts.folder.path, progress.step + 1
        parts.trackers.open(folder, self.plan.title, config, first_step)
        if self.options.trackers:
            parts.watch.know_processes()  # Weights & Biases has one

    def _profiler(self, folder: TrialFolder) -> Profiler | None:
        if not self.options.profile:
            return None
        return Profiler(folder.path / "profile", self.observer.message)

    def _dynamics(
        self, state: TrainState, progress: Progress, batch_size: int
    ) -> Dynamics | None:
        if not self.options.log_dynamics:
            return None
        # Also if it is resumed: a checkpoint has the params of an evaluation, unless
        # the trial was stopped between two.
        return Dynamics(self.workload, state.params, progress.step, batch_size)

    def _clock(self, progress: Progress) -> Clock:
        spent = replace(progress.seconds, charge_compile=self.options.charge_compile)
        if not isinstance(self.hosts, Alone):
            return AgreedClock(self.hosts, spent)
        if self.isolated is not None:
            return WitnessedClock(self.isolated.tell, spent)
        return Clock(spent)

    def _early_stop(self, settings: Mapping[str, Any]) -> EarlyStop:
        options = self.options
        return early_stop_of(
            self.plan.folder,
            settings,
            options.stop_when_beaten and options.ruleset == "external",
            options.reference_s,
            self.hosts,
            (self.workload.facts, options.limits)
            if options.stop_when_hopeless
            else None,
        )

    def _restored(
        self, state: TrainState, folder: TrialFolder, checkpoints: Checkpoints | None
    ) -> tuple[TrainState, Progress]:
        """The last checkpoint, or a fresh start; and the files as they were then."""
        progress = Progress()
        restored = checkpoints.restore(state) if checkpoints else None
        if restored is not None:
            state = TrainState(*restored[0])
            saved = Progress.from_dict(restored[1])
            progress = replace(saved, preemption_count=saved.preemption_count + 1)
            self.observer.message(f"resumed from step {progress.step}")
        elif folder.evals.rows:
            self.observer.message("no usable checkpoint: starting again from step 0")
        folder.rewind(progress)
        folder.write_start(
            progress.preemption_count,
            self.plan.point,
            meta_data(self.workload.facts, self.plan.seed),
            self.options.flags or {},
        )
        return state, progress
