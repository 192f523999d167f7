"""Charts elsewhere: TensorBoard, Weights & Biases, MLflow. They never end a run.

They are fed while the clock stands. The trial folder stays the record: what a tracker
loses is in `eval_measurements.csv` and `measurements.csv`.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from algoperf import records

FILE = "trackers.json"  # in the trial folder: the id of the run at each tracker
PROJECT = "algoperf"


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a trial when it starts.

    `run_id` is None for a new one; `first_step` is the first step that will be logged,
    of a resumed trial the one after its checkpoint.
    """

    folder: Path
    title: str
    config: Mapping[str, Any]
    run_id: str | None
    first_step: int


class Tracker(Protocol):
    """One tracker with an open run; `run_id` continues it from another process."""

    @property
    def run_id(self) -> str | None: ...

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def flush(self) -> None:
        """Returns when nothing is left to do that would take a step's time."""
        ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in the trial folder; of a resumed trial, those of later steps go."""

    run_id = None  # the folder says which run it is

    def __init__(self, run: TrackedRun):
        # Not its SummaryWriter: a full disk ends that one's thread without a word, and
        # whoever logs then waits for ever.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
        from tensorboardX.summary import scalar

        folder = run.folder / "tensorboard"
        folder.mkdir(exist_ok=True)
        # Names have whole seconds: of two processes they must not be equal.
        suffix = f".{run.first_step:09d}"
        self._writer = EventsWriter(str(folder / "events"), suffix)
        self._events: Any = event_pb2  # its classes are made when it is imported
        self._scalar = scalar
        start = self._events.SessionLog(status=self._events.SessionLog.START)
        self._write(run.first_step, file_version="brain.Event:2")
        self._write(run.first_step, session_log=start)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._write(step, summary=self._scalar(name, value))

    def _write(self, step: int, **content: Any) -> None:
        event = self._events.Event(step=step, wall_time=time.time(), **content)
        self._writer.write_event(event)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run at Weights & Biases, in the project of WANDB_PROJECT."""

    def __init__(self, run: TrackedRun):
        import wandb  # type: ignore[import-not-found]

        self.run_id = run.run_id or secrets.token_hex(8)
        self._run = wandb.init(
            id=self.run_id,
            resume="allow",
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=run.folder.parents[2].name,  # the submission's
            name=run.title,
            config=dict(run.config),
            dir=str(run.folder),
        )
        # Its own step may not go back, as a resumed trial does.
        self._run.define_metric("*", step_metric=records.STEP)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, records.STEP: step})

    def flush(self) -> None:
        pass  # a process of its own sends

    def close(self) -> None:
        self._run.finish()


class Mlflow:
    """A run at MLflow, at the server of MLFLOW_TRACKING_URI."""

    def __init__(self, run: TrackedRun):
        from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]

        self._client = MlflowClient()
        if run.run_id is None:
            experiment = self._client.get_experiment_by_name(PROJECT)
            experiment_id = (
                experiment.experiment_id
                if experiment
                else self._client.create_experiment(PROJECT)
            )
            created = self._client.create_run(experiment_id, run_name=run.title)
            self.run_id = created.info.run_id
            for name, value in run.config.items():
                self._client.log_param(self.run_id, name, value)
        else:
            self.run_id = run.run_id
            self._client.update_run(self.run_id, status="RUNNING")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self.run_id, name, value, step=step)

    def flush(self) -> None:
        pass  # every call is complete when it returns

    def close(self) -> None:
        self._client.set_terminated(self.run_id)


TRACKERS: Mapping[str, Callable[[TrackedRun], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": Mlflow,
}


class Trackers:
    """The trackers of one trial. What one raises is said once, and it is left out.

    Args:
      names: of TRACKERS.
      report: called with a message when a tracker fails.
    """

    def __init__(
        self, names: Iterable[str] = (), report: Callable[[str], None] = print
    ):
        self._names = tuple(names)
        self._report = report
        self._open: dict[str, Tracker] = {}
        self._errors: dict[str, str] = {}

    def open(
        self, folder: Path, title: str, config: Mapping[str, Any], first_step: int
    ) -> None:
        """Starts or continues the run at every tracker, before the clock runs."""
        if not self._names:
            return
        ids = records.read_json(folder / FILE)
        ids = ids if isinstance(ids, dict) else {}
        for tracker in self._names:
            run = TrackedRun(folder, title, config, ids.get(tracker), first_step)
            with self._guarded(tracker):
                self._open[tracker] = TRACKERS[tracker](run)
        ids |= {name: own.run_id for name, own in self._open.items() if own.run_id}
        records.write_json(folder / FILE, ids)

    def log(
        self,
        logged: Iterable[Mapping[str, Any]],
        evaluation: tuple[int, Mapping[str, float]] | None = None,
    ) -> None:
        """Rows of `measurements.csv`, and the evaluation after them."""
        if not self._open:
            return
        points = [(row[records.STEP], _numbers(row)) for row in logged]
        if evaluation is not None:
            points.append((evaluation[0], _numbers(evaluation[1])))
        for name, tracker in list(self._open.items()):
            with self._guarded(name):
                for step, values in points:
                    tracker.log(step, values)
                tracker.flush()

    def close(self) -> dict[str, Any]:
        """Ends what is open; says what each tracker raised, None for nothing."""
        for name, tracker in list(self._open.items()):
            with self._guarded(name):
                tracker.close()
        self._open.clear()
        return {name: {"error": self._errors.get(name)} for name in self._names}

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            self._open.pop(name, None)
            self._errors[name] = f"{type(error).__name__}: {error}"
            self._report(
                f"tracker {name} failed and is left out: {self._errors[name]}; "
                "the trial goes on, and its files have everything"
            )


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and name != records.STEP
    }
