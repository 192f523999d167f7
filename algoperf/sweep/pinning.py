"""Places for trials on one machine: each has devices and CPUs that no other has."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf.facts import UserError

_NVIDIA = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU


@dataclass(frozen=True)
class Place:
    """Where one trial runs at a time. Empty `gpus`: on the CPU, or not pinned."""

    number: int
    cpus: tuple[int, ...]
    gpus: tuple[str, ...] = ()

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process in this place."""
        own = dict(base)
        if self.gpus:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        return own


def places(
    workers: int | None,
    gpus_per_task: int,
    environ: Mapping[str, str],
    nvidia: Path = _NVIDIA,
) -> tuple[Place, ...]:
    """The places of this machine.

    Args:
      workers: how many; None for as many as there are GPUs for, or one on the CPU.
      gpus_per_task: GPUs of each, if there are any.

    Raises:
      UserError: more places than there are GPUs or CPUs for. Trials that share a
        processor are charged for each other's work.
    """
    gpus, cpus = visible_gpus(environ, nvidia), available_cpus()
    if gpus:
        most = len(gpus) // gpus_per_task
        if most == 0 or (workers or 0) > most:
            raise UserError(
                f"--workers={workers or 1} with --gpus_per_task={gpus_per_task}: there "
                f"are {len(gpus)} GPU(s), and trials that share one are charged for "
                f"each other's work. At most {most} worker(s)."
            )
        count = workers or most
    else:
        count = workers or 1
    if count > len(cpus):
        raise UserError(
            f"--workers={count}: there are {len(cpus)} CPU(s), and trials that share "
            f"one are charged for each other's work. At most {len(cpus)} worker(s)."
        )
    return tuple(
        Place(
            number,
            _share(cpus, number, count),
            tuple(gpus[number * gpus_per_task : (number + 1) * gpus_per_task]),
        )
        for number in range(count)
    )


def visible_gpus(environ: Mapping[str, str], nvidia: Path = _NVIDIA) -> list[str]:
    """The NVIDIA GPUs that a process may use, as CUDA_VISIBLE_DEVICES names them."""
    if environ.get("JAX_PLATFORMS") == "cpu":
        return []
    given = environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    try:
        return [str(number) for number in range(len(os.listdir(nvidia)))]
    except OSError:
        return []


def available_cpus() -> tuple[int, ...]:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _share(cpus: Sequence[int], number: int, count: int) -> tuple[int, ...]:
    """Part `number` of CPUs, in one piece: neighbours share caches."""
    first, end = (len(cpus) * at // count for at in (number, number + 1))
    return tuple(cpus[first:end])
