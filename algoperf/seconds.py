"""Seconds of a trial by account; no JAX, so that planning a run needs none."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Seconds:
    """Seconds per account, and parts of the submission's that are of interest.

    `submission` decides budget and score. With `charge_compile`, AlgoPerf's rule,
    `compile` is a part of it, and so is `cache_saved`, what programs from a cache would
    have taken to compile: a cache must not change a score. Without, neither is.
    """

    submission: float = 0.0
    evaluation: float = 0.0
    logging: float = 0.0
    compile: float = 0.0  # that passed on the submission's time
    data_wait: float = 0.0  # within `submission`
    cache_saved: float = 0.0  # that did not pass
    charge_compile: bool = True

    @property
    def total(self) -> float:
        """All time since training began, in every process that took part."""
        passed = self.submission + self.evaluation + self.logging
        return passed + (-self.cache_saved if self.charge_compile else self.compile)

    @property
    def with_compile(self) -> float:
        """The submission's seconds if compiling is charged."""
        if self.charge_compile:
            return self.submission
        return self.submission + self.compile + self.cache_saved

    @property
    def without_compile(self) -> float:
        """The submission's seconds if compiling is not charged."""
        if self.charge_compile:
            return self.submission - self.compile - self.cache_saved
        return self.submission

    def as_dict(self) -> dict[str, float]:
        return asdict(self)
