"""What flags of `algoperf run` mean, of which a value alone does not say it."""

from algoperf.facts import UserError

MAX_SEED = 2**32 - 1


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
