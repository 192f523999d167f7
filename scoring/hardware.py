"""Whether trials that are compared ran on machines that are equally fast."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scoring.health import HealthNote

if TYPE_CHECKING:
    from scoring.load import TrialRecord

# Rates of `trial.json` that are compared, and what they are called.
RATES = {
    "matmul_flop_per_s": "matrix products",
    "memory_bytes_per_s": "memory",
    "host_decode_bytes_per_s": "decoding on the host",
}
# A machine this much slower than the fastest of a comparison is another machine, or
# was busy with something else.
TOLERANCE = 0.10
SLOWER = "machine more than 10 % slower than the fastest of this workload"


def rates_of(record: Any) -> tuple[dict[str, float], ...]:
    """The rates of every process of a trial, of what `trial.json` holds."""
    environments = record.get("environments") if isinstance(record, dict) else None
    if not isinstance(environments, list):
        return ()
    found = [entry.get("hardware") for entry in environments if isinstance(entry, dict)]
    return tuple(
        rates for entry in found if isinstance(entry, dict) and (rates := _rates(entry))
    )


def _rates(entry: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name in RATES
        if isinstance(value := entry.get(name), int | float)
        and math.isfinite(value)
        and value > 0
    }


def hardware_notes(trials: Iterable["TrialRecord"]) -> list[HealthNote]:
    """A note for every trial on a slow machine; a comparison is a workload.

    Of a trial with several processes the slowest counts. Trials without a probe are
    left out.
    """
    by_workload: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        if trial.hardware:
            by_workload.setdefault(trial.workload, []).append(trial)
    return [
        HealthNote(trial.where, SLOWER, "nothing", detail)
        for own in by_workload.values()
        for trial, detail in _slow(own)
    ]


def _slow(trials: list["TrialRecord"]) -> list[tuple["TrialRecord", str]]:
    fastest = {
        name: max((_slowest(trial, name) or 0.0 for trial in trials), default=0.0)
        for name in RATES
    }
    found = []
    for trial in trials:
        shares = {
            words: rate / fastest[name]
            for name, words in RATES.items()
            if (rate := _slowest(trial, name)) is not None
        }
        slow = {w: share for w, share in shares.items() if share < 1 - TOLERANCE}
        if slow:
            detail = ", ".join(f"{w} {share:.0%}" for w, share in slow.items())
            found.append((trial, f"{detail} of the fastest"))
    return found


def _slowest(trial: "TrialRecord", name: str) -> float | None:
    return min((r[name] for r in trial.hardware if name in r), default=None)


def uneven_machines(notes: Iterable[HealthNote], trials: int) -> str:
    """One sentence of warning about all of them; empty without any."""
    slow = [note for note in notes if note.what == SLOWER]
    if not slow:
        return ""
    return (
        f"{len(slow)} of {trials} trials ran on a machine that a probe found more than "
        f"{TOLERANCE:.0%} slower than the fastest of the same workload "
        f"(first: {slow[0].where}, {slow[0].detail}); times to target do not compare "
        "between different machines, or busy ones"
    )
