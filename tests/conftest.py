"""JAX runs strict in tests: two devices, and no silent broadcasting of ranks."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")

# A folder that `make test` names: compiled programs, by worker. The processes that
# tests start do without it: those killed, or on a full disk, leave parts of entries.
if "TESTS_COMPILED" in os.environ:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    compiled = os.path.join(os.environ["TESTS_COMPILED"], worker)
    jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)

pytest_plugins = ["fake_trial"]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def algoperf(tmp_path: Path) -> Run:
    """Runs `algoperf` as a user would: a process of its own in an empty folder."""

    def run(
        *arguments: str, devices: int = 1, timeout_s: float = 120, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(arguments),
            cwd=cwd,
            env=environment(devices),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    return run


def command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs `algoperf` with this Python."""
    return [sys.executable, "-m", "algoperf", *arguments]


def environment(devices: int = 1) -> dict[str, str]:
    """The environment of a process that sees so many CPU devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def last_line(text: str) -> str:
    """The last line of an output that says anything."""
    return [line for line in text.splitlines() if line.strip()][-1]
