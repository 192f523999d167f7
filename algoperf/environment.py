"""What produced a run: versions, devices, commit, machine."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import psutil

from algoperf import __version__
from algoperf.facts import Facts

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def describe_environment() -> dict[str, Any]:
    """Versions, devices and commit, for `trial.json`."""
    return {
        "algoperf": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "processes": jax.process_count(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed_files": _changed_files(),
    }


def meta_data(facts: Facts, seed: int) -> dict[str, Any]:
    """The keys of AlgoPerf's `meta_data_P.json`: workload, machine, seed."""
    memory = psutil.virtual_memory()
    disk = psutil.disk_io_counters()
    network = psutil.net_io_counters()
    frequency = psutil.cpu_freq()
    accelerators = [d for d in jax.devices() if d.platform != "cpu"]
    return {
        **_workload_keys(facts),
        "cpu.util.avg_percent_since_last": psutil.cpu_percent(),
        "cpu.freq.current": frequency.current if frequency else None,
        "cpu_count": psutil.cpu_count(),
        "cpu_model_name": _cpu_model(),
        "mem.total": memory.total,
        "mem.available": memory.available,
        "mem.used": memory.used,
        "mem.percent_used": memory.percent,
        "mem.read_bytes_since_boot": disk.read_bytes if disk else None,
        "mem.write_bytes_since_boot": disk.write_bytes if disk else None,
        "net.bytes_sent_since_boot": network.bytes_sent if network else None,
        "net.bytes_recv_since_boot": network.bytes_recv if network else None,
        "gpu_count": len(accelerators),
        "gpu.count": len(accelerators),
        "gpu_model_name": accelerators[0].device_kind if accelerators else None,
        "os_platform": platform.platform(),
        "python_version": platform.python_version(),
        "python_compiler": platform.python_compiler(),
        "git_branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "git_commit_hash": _git("rev-parse", "HEAD"),
        "rng_seed": seed,
    }


def _workload_keys(facts: Facts) -> dict[str, Any]:
    examples = facts.examples
    values = {
        "eval_batch_size": facts.eval_batch_size,
        "eval_period_time_sec": facts.eval_period_s,
        "max_allowed_runtime_sec": facts.max_runtime_s,
        "num_eval_train_examples": examples.get("eval_train"),
        "num_test_examples": examples.get("test"),
        "num_train_examples": examples.get("train"),
        "num_validation_examples": examples.get("validation"),
        "step_hint": facts.step_hint,
        "target_metric_name": facts.metric,
        "test_target_value": facts.test_target,
        "validation_target_value": facts.validation_target,
        **facts.model,
    }
    return {f"workload.{name}": value for name, value in values.items()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """The output of a git command on our own checkout; None if there is none."""
    try:
        result = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _changed_files() -> int | None:
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else len(status.splitlines())


def _cpu_model() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or None
    names = [
        line.partition(":")[2] for line in text.splitlines() if "model name" in line
    ]
    return names[0].strip() if names else None
