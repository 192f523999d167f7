"""One trial in its folder: started, resumed from its checkpoint, or already done."""

import datetime
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax

from algoperf import records
from algoperf.checkpoint import Checkpoints
from algoperf.clock import Clock
from algoperf.data import PlacedBatches
from algoperf.environment import describe_environment, meta_data
from algoperf.facts import Facts, UserError
from algoperf.jax_sharding_utils import get_replicate_sharding
from algoperf.limits import Limits
from algoperf.metrics_logger import MetricsLogger
from algoperf.profiling import Profiler
from algoperf.progress import Progress
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.submission import Submission, global_batch_size, load_submission
from algoperf.trial import (
    Observer,
    SubmissionFailed,
    TrainState,
    Trial,
    failed,
    submission_code,
)
from algoperf.trial_folder import TrialFolder, differences
from algoperf.workload import Workload


@dataclass(frozen=True)
class RunOptions:
    """How trials are run; only `ruleset` and `limits` change what a trial is."""

    ruleset: str
    limits: Limits
    save_checkpoints: bool = True
    keep_checkpoints: int | None = 2  # None keeps all
    overwrite: bool = False
    profile: bool = False
    flags: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TrialRun:
    """Everything one trial needs; `run` may be called again to continue it."""

    plan: TrialPlan
    workload: Workload
    submission_path: Path
    options: RunOptions
    observer: Observer

    def run(self, stop: StopRequest) -> dict[str, Any]:
        """Runs the trial to its end, unless it has ended before or `stop` asks.

        Returns:
          What `trial.json` now says; its `outcome` is None only after a stop.

        Raises:
          UserError: the folder has other settings, cannot be written, or is in use;
            or the submission cannot be loaded.
        """
        # Every trial pays for its own tracing and compiling, not only the first one.
        jax.clear_caches()
        submission = load_submission(self.submission_path)
        with closing(TrialFolder(self.plan.folder)) as folder:
            settings = self._settings(submission)
            earlier = self._earlier_record(folder, settings)
            if earlier.get("outcome") is not None:
                self.observer.message(
                    f"already done: {earlier['outcome']} after "
                    f"{earlier['steps']:,} steps"
                )
                return earlier
            record = self._new_record(submission, settings, earlier)
            folder.write_trial(record)
            progress = self._train(submission, folder, stop)
            record |= results(self.workload.facts, progress)
            if progress.outcome is not None:
                record["ended_at"] = _now()
                folder.append_end(progress)
            folder.write_trial(record)
            if progress.outcome is not None:
                self.observer.ended(record)
            return record

    def _settings(self, submission: Submission) -> dict[str, Any]:
        """What makes two runs of a trial the same trial, as plain JSON values."""
        return {
            "submission_source": submission.source_digest,
            "tuning_ruleset": self.options.ruleset,
            "hyperparameters": self.plan.point,
            "seed": self.plan.seed,
            "workload": self.workload.facts.as_dict(),
            "limits": asdict(self.options.limits),
        }

    def _earlier_record(
        self, folder: TrialFolder, settings: dict[str, Any]
    ) -> dict[str, Any]:
        """The `trial.json` of an earlier run with the same settings, or nothing."""
        if self.options.overwrite:
            folder.clear()
        record = folder.read_trial()
        if record is None:
            if folder.evals.rows:
                raise UserError(
                    f"{folder.path} holds a trial of another program (rows, but no "
                    f"readable {records.TRIAL}); give another --experiment_name, or "
                    "--overwrite to delete it"
                )
            return {}
        changed = differences(record["settings"], settings)
        if changed:
            raise UserError(
                f"{folder.path} was written with other settings:\n  "
                + "\n  ".join(changed)
                + "\nGive another --experiment_name, or --overwrite to delete it."
            )
        return record

    def _new_record(
        self,
        submission: Submission,
        settings: dict[str, Any],
        earlier: dict[str, Any],
    ) -> dict[str, Any]:
        facts = self.workload.facts
        return {
            "workload": facts.name,
            "study": self.plan.study,
            "trial": self.plan.trial,
            "seed": self.plan.seed,
            "tuning_ruleset": self.options.ruleset,
            "hyperparameters": self.plan.point,
            "submission_path": str(submission.path),
            "settings": settings,
            "num_params": self.workload.num_params,
            "batch_size": global_batch_size(submission, facts, jax.device_count()),
            # One for every process that took part.
            "environments": [
                *earlier.get("environments", ()),
                {"started_at": _now(), **describe_environment()},
            ],
            **results(facts, Progress()),
        }

    def _train(
        self, submission: Submission, folder: TrialFolder, stop: StopRequest
    ) -> Progress:
        """Sets the trial up and trains; a submission that raises ends as `failed`."""
        with ExitStack() as stack:
            checkpoints = None
            if self.options.save_checkpoints:
                checkpoints = Checkpoints(
                    folder.checkpoints,
                    self.options.keep_checkpoints,
                    self.observer.message,
                )
                stack.enter_context(closing(checkpoints))
            try:
                trial = self._start(submission, folder, checkpoints)
            except SubmissionFailed as error:
                return failed(Progress(), error, submission, self.observer)
            return trial.run(stop)

    def _start(
        self,
        submission: Submission,
        folder: TrialFolder,
        checkpoints: Checkpoints | None,
    ) -> Trial:
        data_key, optimizer_key, model_key, step_key = jax.random.split(
            jax.random.PRNGKey(self.plan.seed), 4
        )
        state = self._initial_state(submission, model_key, optimizer_key)
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
        logger = MetricsLogger(folder.measurements)
        self.workload.attach_metrics_logger(logger)
        batch_size = global_batch_size(
            submission, self.workload.facts, jax.device_count()
        )
        batches = PlacedBatches(
            self.workload.data.batches(
                "train", batch_size, _seed_of(data_key), progress.batches
            )
        )
        return Trial(
            workload=self.workload,
            submission=submission,
            hyperparameters=self.plan.hyperparameters,
            limits=self.options.limits,
            folder=folder,
            observer=self.observer,
            checkpoints=checkpoints,
            clock=Clock(progress.seconds),
            batches=batches,
            step_key=step_key,
            state=state,
            progress=progress,
            logger=logger,
            profiler=Profiler(folder.path / "profile")
            if self.options.profile
            else None,
            saved_step=progress.step if restored else None,
        )

    def _initial_state(
        self, submission: Submission, model_key: jax.Array, optimizer_key: jax.Array
    ) -> TrainState:
        params, model_state = self.workload.init_model_fn(model_key)
        with submission_code():
            optimizer_state = submission.init_optimizer_state(
                self.workload,
                params,
                model_state,
                self.plan.hyperparameters,
                optimizer_key,
            )
        return TrainState(params, model_state, _committed(optimizer_state))


def results(facts: Facts, progress: Progress) -> dict[str, Any]:
    """The part of `trial.json` that training fills in."""
    reached = next(
        (
            {
                "step": step,
                "submission_s": values["score"],
                "value": values[f"validation/{facts.metric}"],
            }
            for step, values in progress.eval_results
            if facts.reached_validation(values[f"validation/{facts.metric}"])
        ),
        None,
    )
    values = [
        values[f"validation/{facts.metric}"] for _, values in progress.eval_results
    ]
    best = max if facts.goal == "max" else min
    seconds = progress.seconds
    return {
        "outcome": progress.outcome,
        "error": progress.error,
        "steps": progress.step,
        "preemption_count": progress.preemption_count,
        "reached": reached if progress.outcome == "reached" else None,
        "test_target_reached": progress.test_goal_reached,
        "best": best(values) if values else None,
        "seconds": {**asdict(seconds), "total": seconds.total},
    }


def _committed(optimizer_state: Any) -> Any:
    """Replicates the arrays of a state that were left on the default device.

    A state built from `jnp.zeros` comes back from the first step replicated, so the
    second step would be compiled again. Everything else is left as it is.
    """
    sharding = get_replicate_sharding()

    def place(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.committed:
            return jax.device_put(leaf, sharding)
        return leaf

    return jax.tree.map(place, optimizer_state)


def _seed_of(key: jax.Array) -> int:
    """A 64-bit seed for the data order, from a raw key."""
    high, low = (int(word) for word in key)
    return (high << 32) | low


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
