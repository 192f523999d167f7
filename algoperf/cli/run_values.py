"""What flags of `algoperf run` mean, of which a value alone does not say it."""

from absl import flags

from algoperf.cluster import Cluster
from algoperf.facts import UserError

MAX_SEED = 2**32 - 1


def cluster_of(values: flags.FlagValues) -> Cluster | None:
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


def seed_of(given: str | None) -> int | None:
    """The seed as a number; None draws one.

    Raises:
      UserError: no number that is allowed.
    """
    if given is None:
        return None
    try:
        seed = int(given)
    except ValueError:
        seed = None
    if seed is None or not 0 <= seed <= MAX_SEED:
        fix = ""
        if seed is not None:
            fix = f" --rng_seed={seed % (MAX_SEED + 1)} has the same lower 32 bits."
        raise UserError(
            f"--rng_seed={given} is not a whole number from 0 to {MAX_SEED}.{fix}"
        )
    return seed
