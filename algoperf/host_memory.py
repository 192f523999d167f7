"""How much memory the machine, or the container, has. Without JAX."""

from pathlib import Path

import psutil

# Where Linux says how much memory the processes of a container may use.
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def host_bytes() -> int:
    """Memory of the machine, or what this container may use of it."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(_CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return total
