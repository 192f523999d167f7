"""How much memory a device has, and how much of it was used at most."""

import jax
import psutil

from algoperf.host_memory import host_bytes


def device_limit_bytes() -> int:
    """Memory that programs may use on one device.

    Of an accelerator that is what JAX has set aside, less than what is built in. CPU
    devices share the memory of the machine, or of the container, in equal parts.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return host_bytes() // jax.local_device_count()


def device_free_bytes() -> int:
    """Memory of one device that nothing uses now."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats and "bytes_in_use" in stats:
        return int(stats["bytes_limit"]) - int(stats["bytes_in_use"])
    available = psutil.virtual_memory().available
    return min(available, host_bytes()) // jax.local_device_count()


def peak_bytes() -> int | None:
    """The most that any device has used since the process began; None on CPUs."""
    peaks = [
        int(stats["peak_bytes_in_use"])
        for device in jax.local_devices()
        if "peak_bytes_in_use" in (stats := device.memory_stats() or {})
    ]
    return max(peaks, default=None)
