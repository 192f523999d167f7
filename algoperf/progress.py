"""How far a trial is, and what it has measured; plain values that JSON holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from algoperf.facts import Facts
from algoperf.records import Outcome
from algoperf.seconds import Seconds


@dataclass(frozen=True)
class Progress:
    """The part of a trial's state that is not arrays.

    Steps are updates done. `eval_results` holds (step, metrics and times) of every
    evaluation; submissions get it, so a resumed trial needs it.
    """

    step: int = 0
    preemption_count: int = 0
    batches: int = 0  # taken from the training data
    eval_rows: int = 0  # in eval_measurements.csv when this was saved
    measurement_rows: int = 0  # in measurements.csv
    seconds: Seconds = field(default_factory=Seconds)
    last_eval_submission_s: float = 0.0
    eval_results: tuple[tuple[int, dict[str, float]], ...] = ()
    validation_goal_reached: bool = False
    test_goal_reached: bool = False
    outcome: Outcome | None = None
    error: str | None = None
    stopped_early: dict[str, Any] | None = None  # why; see early_stop.py

    def ended(self, outcome: Outcome, error: str | None = None) -> "Progress":
        """The same trial, over; the first reason to end it stays."""
        if self.outcome is not None:
            return self
        return replace(self, outcome=outcome, error=error)

    def evaluated(
        self,
        facts: Facts,
        metrics: dict[str, float],
        seconds: Seconds,
        max_runtime_s: float,
        has_targets: bool = True,
    ) -> "Progress":
        """The same trial after an evaluation; `seconds` are read when it ended.

        A validation metric that is NaN means diverged: no parameter recovers from it.
        A target that is reached beyond the budget is not reached, and on random data
        there is none.
        """
        validation = metrics[f"validation/{facts.metric}"]
        test = metrics.get(f"test/{facts.metric}", float("nan"))
        in_time = seconds.submission <= max_runtime_s
        reached = has_targets and in_time and facts.reached_validation(validation)
        diverged = any(
            value != value
            for name, value in metrics.items()
            if name.startswith("validation/")
        )
        after = replace(
            self,
            seconds=seconds,
            last_eval_submission_s=seconds.submission,
            eval_results=(
                *self.eval_results,
                (self.step, {**metrics, **_times(seconds)}),
            ),
            validation_goal_reached=self.validation_goal_reached or reached,
            test_goal_reached=self.test_goal_reached
            or (has_targets and facts.reached_test(test)),
        )
        # Reaching the target and divergence are what an evaluation is there to find:
        # they stand above a limit that the same step ran into.
        if reached:
            return replace(after, outcome="reached", error=None, stopped_early=None)
        if diverged:
            return replace(after, outcome="diverged", error=None, stopped_early=None)
        return after

    def as_train_state(
        self, seconds: Seconds, max_runtime_s: float
    ) -> Mapping[str, Any]:
        """AlgoPerf's read-only view of how far training is, for update_params."""
        return MappingProxyType(
            {
                "validation_goal_reached": self.validation_goal_reached,
                "test_goal_reached": self.test_goal_reached,
                "is_time_remaining": seconds.submission < max_runtime_s,
                "last_eval_time": self.last_eval_submission_s,
                "training_complete": self.outcome is not None,
                "accumulated_submission_time": seconds.submission,
                "accumulated_eval_time": seconds.evaluation,
                "accumulated_logging_time": seconds.logging,
                "last_step_end_time": seconds.total,
            }
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Progress":
        values = dict(plain)
        values["seconds"] = Seconds(**plain["seconds"])
        values["eval_results"] = tuple(
            (step, metrics) for step, metrics in plain["eval_results"]
        )
        return cls(**values)


def _times(seconds: Seconds) -> dict[str, float]:
    """AlgoPerf's names for the seconds of a row."""
    return {
        "score": seconds.submission,
        "total_duration": seconds.total,
        "accumulated_submission_time": seconds.submission,
        "accumulated_eval_time": seconds.evaluation,
        "accumulated_logging_time": seconds.logging,
    }
