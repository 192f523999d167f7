"""What a program measures in a process with a number of devices of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conftest import environment


def measured(
    runner: Path, sizes: Sequence[str], devices: int
) -> dict[str, dict[str, Any]]:
    """By workload and batch size, as `runner` prints them: lines of JSON."""
    variables = environment(devices)
    variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
    process = subprocess.run(
        [sys.executable, str(runner), *sizes],
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    return {name: values for line in lines for name, values in line.items()}
