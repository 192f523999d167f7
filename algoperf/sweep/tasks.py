"""A sweep's tasks: one a trial, each with its folder, its log and its command line."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from algoperf import records
from algoperf.facts import UserError


class Task(NamedTuple):
    """One trial of the sweep; studies count from 0, trials from 1."""

    submission: str
    workload: str
    study: int
    trial: int

    def __str__(self) -> str:
        return (
            f"{self.submission} {self.workload} study {self.study} trial {self.trial}"
        )


@dataclass(frozen=True)
class Submission:
    """A submission of a sweep, found and read.

    `name` is its folder's below the experiment, `words` are the flags of `algoperf
    run` that are its own.
    """

    name: str
    path: str
    ruleset: str
    trials: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Everything a sweep runs: submissions x workloads x studies x trials.

    `words` are flags of `algoperf run` for every task, `words_for[name]` those for a
    workload or a submission. `seeds` are those of studies that were begun before, by
    (submission, workload, study); all others get `seed`.
    """

    experiment_dir: Path
    submissions: tuple[Submission, ...]
    workloads: tuple[str, ...]
    studies: tuple[int, ...]
    seed: int
    words: tuple[str, ...] = ()
    words_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seeds: Mapping[tuple[str, str, int], int] = field(default_factory=dict)

    def tasks(self) -> Iterator[Task]:
        """Study by study, so that what is done after a while can be compared."""
        for study in self.studies:
            for workload in self.workloads:
                for submission in self.submissions:
                    for trial in range(1, submission.trials + 1):
                        yield Task(submission.name, workload, study, trial)

    def part(self, number: int, parts: int) -> Iterator[Task]:
        """Part `number`, from 1, of `parts`: a study's trials stay together."""
        place: dict[tuple[str, str, int], int] = {}
        for task in self.tasks():
            if place.setdefault(task[:3], len(place)) % parts == number - 1:
                yield task

    def folder(self, task: Task) -> Path:
        """The trial folder of a task."""
        return records.trial_folder(
            self.experiment_dir / task.submission, task.study, task.workload, task.trial
        )

    def log(self, task: Task) -> Path:
        """What the task's processes print; beside the trial folder."""
        return self.folder(task).with_suffix(".log")

    def command(self, task: Task) -> list[str]:
        """The line that runs a task, by this Python."""
        submission = self._by_name[task.submission]
        own = [f"--study_index={task.study}"]
        if submission.trials > 1:
            own += [
                f"--num_tuning_trials={submission.trials}",
                f"--hparam_start_index={task.trial - 1}",
                f"--hparam_end_index={task.trial}",
            ]
        seed = self.seeds.get(task[:3], self.seed)
        words = (
            *self.words,
            *self.words_for.get(task.workload, ()),
            *self.words_for.get(task.submission, ()),
        )
        return [
            *self._begin(submission, task.workload),
            *own,
            f"--rng_seed={seed}",
            *_isolation(words),
            *words,
        ]

    def expected(self) -> dict[str, Any]:
        """Which trials there will be, as plain JSON values."""
        return {
            "submissions": [asdict(submission) for submission in self.submissions],
            "workloads": list(self.workloads),
            "studies": list(self.studies),
        }

    def _begin(self, submission: Submission, workload: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "algoperf",
            "run",
            f"--workload={workload}",
            f"--submission_path={submission.path}",
            *submission.words,
            f"--experiment_dir={self.experiment_dir}",
            f"--experiment_name={submission.name}",
        ]

    @cached_property
    def _by_name(self) -> dict[str, Submission]:
        return {submission.name: submission for submission in self.submissions}


def _isolation(words: tuple[str, ...]) -> tuple[str, ...]:
    """Each trial in a process of its own, unless it has several, or `words` say it."""
    elsewhere = ("--distributed", "--coordinator_address", "--isolate")
    return () if any(w.startswith(elsewhere) for w in words) else ("--isolate=process",)


def check_names(sweep: Sweep) -> None:
    """Refuses names that stand for two things, or for none.

    Raises:
      UserError: two submissions of one name, or flags for a name that is not there.
    """
    names = [submission.name for submission in sweep.submissions]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two submissions of the plan are called {name!r}; give one of them "
                'another name: {path = "...", name = "..."}.'
            )
    for name in sweep.words_for:
        if name not in (*names, *sweep.workloads):
            raise UserError(
                f"the plan has flags for {name!r} ([run.{name}]), which is none of its "
                f"workloads or submissions: {', '.join((*sweep.workloads, *names))}."
            )
