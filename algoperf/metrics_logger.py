"""`workload.metrics_logger`: what a submission logs, into `measurements.csv`."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from algoperf.records import STEP, CsvLog


class MetricsLogger:
    """Keeps what is logged as it is and writes it later, outside the timed region.

    Converting a device array to a number waits for the device: a submission that
    logs must not pay for that, so `flush` does it while the clock is paused.
    """

    def __init__(self, log: CsvLog):
        self._log = log
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
        row = {STEP: global_step, **metrics}
        if preemption_count is not None:
            row["preemption_count"] = preemption_count
        self._pending.append(row)

    def flush(self) -> None:
        """Writes everything that was logged; waits for the device."""
        rows = [
            {name: _plain(value) for name, value in row.items()}
            for row in jax.device_get(self._pending)
        ]
        self._pending.clear()
        self._log.append(rows)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value.tolist()
    return value
