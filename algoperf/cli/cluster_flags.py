"""The flags that say how the processes of one trial find each other."""

from absl import flags

from algoperf.cli.definer import Definer
from algoperf.cluster import Cluster
from algoperf.facts import UserError


def define(flag: Definer) -> None:
    """Defines them."""
    flag.boolean(
        "distributed",
        False,
        "Train over all processes that srun, mpirun or a TPU pod started.",
    )
    flag.text(
        "coordinator_address", None, "HOST:PORT of process 0, without a launcher."
    )
    flag.integer("num_processes", None, 1, "How many processes train together.")
    flag.integer("process_id", None, 0, "Which of them this is, counted from 0.")


def cluster(values: flags.FlagValues) -> Cluster | None:
    """How the processes find each other; None for a run of one process."""
    names = ("coordinator_address", "num_processes", "process_id")
    given = [values[name].value for name in names]
    missing = [f"--{n}" for n, value in zip(names, given, strict=True) if value is None]
    if len(missing) == len(names):
        return Cluster() if values.distributed else None
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing: every process needs all of "
            "--coordinator_address, --num_processes and --process_id, or "
            "--distributed alone where a launcher started them."
        )
    if values.process_id >= values.num_processes:
        raise UserError(
            f"--process_id={values.process_id} is not below "
            f"--num_processes={values.num_processes}; it counts from 0."
        )
    return Cluster(*given)
