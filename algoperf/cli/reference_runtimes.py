"""The file of --reference_runtimes: a time to compare with for each workload."""

import json
import math
from collections.abc import Collection
from pathlib import Path

from algoperf.facts import UserError, closest


def read_reference_runtimes(path: Path, known: Collection[str]) -> dict[str, float]:
    """Workload -> submission seconds; workloads that are not in it have no cap.

    Raises:
      UserError: no such file, or it is not {"workload": seconds, ...}.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read --reference_runtimes={path}: {error.strerror}."
        ) from None
    except ValueError as error:
        raise UserError(f"--reference_runtimes={path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise UserError(
            f"--reference_runtimes={path} must be an object such as "
            f'{{"digits": 1.5}}, not {content!r}.'
        )
    for name, seconds in content.items():
        if name not in known:
            raise UserError(
                f"--reference_runtimes={path} has a workload {name!r} that does not "
                f"exist; {closest(name, known)}`algoperf list` shows them."
            )
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not math.isfinite(seconds) or seconds <= 0:
            raise UserError(
                f"--reference_runtimes={path}: {name} is {seconds!r}; it must be a "
                "number of seconds above 0."
            )
    return {name: float(seconds) for name, seconds in content.items()}
