"""`workload.metrics_logger`: what a submission logs, into `measurements.csv`."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from algoperf.records import STEP


class MetricsLogger:
    """Keeps what is logged on the device; the harness takes it while the clock stands.

    Converting a device array to a number waits for the device: a submission that
    logs must not pay for that.
    """

    def __init__(self) -> None:
        self._pending: list[dict[str, Any]] = []

    def append_scalar_metrics(
        self,
        metrics: Mapping[str, Any],
        global_step: int,
        preemption_count: int | None = None,
        is_eval: bool = False,
    ) -> None:
        """Logs scalars (numbers or arrays of one element) of one step."""
        del is_eval
        row = {STEP: global_step}
        row |= {name: _kept(value) for name, value in metrics.items()}
        if preemption_count is not None:
            row["preemption_count"] = preemption_count
        self._pending.append(row)

    def taken(self) -> list[dict[str, Any]]:
        """The rows logged since the last call, as numbers; waits for the device."""
        # Lists, because a tree of dicts would come back with its names sorted.
        values = jax.device_get([list(row.values()) for row in self._pending])
        rows = [
            dict(zip(row, map(_plain, fetched), strict=True))
            for row, fetched in zip(self._pending, values, strict=True)
        ]
        self._pending.clear()
        return rows


class DroppedMetrics:
    """A logger for steps that are tried or traced: what they log goes nowhere."""

    def append_scalar_metrics(self, *arguments: Any, **named: Any) -> None:
        """Takes what `MetricsLogger` takes."""


def _kept(value: Any) -> Any:
    """A copy of a device array, without waiting: the next step may donate it."""
    if isinstance(value, jax.Array):
        return jax.device_put(value, value.sharding, may_alias=False)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value.tolist()
    return value
