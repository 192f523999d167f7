"""When a trial is evaluated, and what ends it."""

from dataclasses import dataclass

from algoperf.progress import Progress


@dataclass(frozen=True)
class Limits:
    """The budget and the evaluation period of a trial.

    Evaluations come every `eval_every_steps` steps where that is given, else every
    `eval_period_s` seconds of submission time.
    """

    max_runtime_s: float
    max_steps: int | None = None
    eval_period_s: float | None = None
    eval_every_steps: int | None = None
    skip_evals: bool = False

    def applied(self, progress: Progress, submission_s: float) -> Progress:
        """The same progress, ended if a limit is passed."""
        if submission_s > self.max_runtime_s:
            return progress.ended("out of time")
        if self.max_steps is not None and progress.step >= self.max_steps:
            return progress.ended("out of steps")
        return progress

    def evaluation_due(self, progress: Progress, submission_s: float) -> bool:
        """After the first step, then once a period, and at the end."""
        if self.skip_evals:
            return False
        if progress.eval_results and progress.eval_results[-1][0] == progress.step:
            return False
        if progress.outcome is not None or progress.step == 1:
            return True
        if self.eval_every_steps is not None:
            return progress.step % self.eval_every_steps == 0
        if self.eval_period_s is None:
            return False
        return submission_s - progress.last_eval_submission_s >= self.eval_period_s
