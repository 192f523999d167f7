"""The clock: which seconds are the submission's, and which are not."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import jax

from algoperf.cluster import Hosts
from algoperf.seconds import Seconds
from algoperf.witness import RUNNING, STOPPED

Account = Literal["submission", "evaluation", "logging"]

# Tracing, lowering and compiling, as JAX reports them while they happen.
_COMPILE_EVENTS = "/jax/core/compile/"
# What a program from a cache took to compile once, less what it took to read.
_SAVED_EVENT = "/jax/compilation_cache/compile_time_saved_sec"

# Our own references, taken before a submission is loaded: what it puts in the place of
# these functions does not reach the clock.
_now = time.perf_counter
_block_until_ready, _effects_barrier = jax.block_until_ready, jax.effects_barrier
_live_arrays = jax.live_arrays


def wait_for_devices(wanted: Any) -> None:
    """Waits for `wanted` and for whatever else is on its way on the devices.

    A submission may have queued work that its state does not depend on: that, too,
    would run inside an evaluation that is free.
    """
    _block_until_ready(wanted)
    _effects_barrier()
    _block_until_ready(_live_arrays())


class Clock:
    """Charges every second between start and stop to exactly one account.

    JAX returns before the device has finished; stopping the submission's time
    therefore waits for the device first, so that queued steps are charged to the
    submission and never run inside an evaluation that is free.
    """

    def __init__(
        self,
        spent: Seconds | None = None,
        now: Callable[[], float] = _now,
        wait: Callable[[Any], Any] = wait_for_devices,
    ):
        self._seconds = spent or Seconds()
        self._now = now
        self._wait = wait
        self._account: Account | None = None
        self._last = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """From here every second is the submission's."""
        self._last = self._now()
        self._account = "submission"
        try:
            with _compile_listener(self._note_compile, self._note_saved):
                yield
        finally:
            self._charge()
            self._account = None

    @contextmanager
    def paused(self, wait_for: Any) -> Iterator[None]:
        """The submission's time stands, once the device has made `wait_for`."""
        self._wait(wait_for)
        with self._switched("evaluation"):
            yield

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Within a pause: time for records and checkpoints."""
        with self._switched("logging"):
            yield

    @contextmanager
    def _switched(self, account: Account) -> Iterator[None]:
        before = self._account
        self._charge()
        self._account = account
        try:
            yield
        finally:
            self._charge()
            self._account = before

    def read(self) -> Seconds:
        """The seconds of every account until now."""
        self._charge()
        return self._seconds

    def submission_s(self) -> float:
        """Submission seconds until now; asked after every step, so it is quick."""
        running = self._now() - self._last if self._account == "submission" else 0.0
        return self._seconds.submission + running

    def timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same iterator; notes how long each `next` of it takes.

        While the clock stands it gives nothing: a thread of the submission's could
        train there for free.
        """

        def take() -> Any:
            if self._account not in (None, "submission"):
                raise RuntimeError(
                    "the input queue gives no batches during evaluations and records; "
                    "take them in data_selection, update_params or prepare_for_eval"
                )
            start = self._now()
            try:
                return next(batches)
            finally:
                self._note_data_wait(self._now() - start)

        return _Queue(take)

    def _charge(self) -> None:
        if self._account is None:
            return
        now = self._now()
        spent = getattr(self._seconds, self._account) + now - self._last
        self._seconds = replace(self._seconds, **{self._account: spent})
        self._last = now

    def _note_compile(self, seconds: float) -> None:
        if self._account != "submission":
            return
        spent = self._seconds
        self._seconds = replace(
            spent,
            compile=spent.compile + seconds,
            # It passes as the submission's time, and is taken off again.
            submission=spent.submission - (0 if spent.charge_compile else seconds),
        )

    def _note_saved(self, seconds: float) -> None:
        if self._account != "submission" or seconds <= 0:
            return
        spent = self._seconds
        self._seconds = replace(
            spent,
            cache_saved=spent.cache_saved + seconds,
            submission=spent.submission + (seconds if spent.charge_compile else 0),
        )

    def _note_data_wait(self, seconds: float) -> None:
        waited = self._seconds.data_wait + seconds
        self._seconds = replace(self._seconds, data_wait=waited)


class WitnessedClock(Clock):
    """The clock of a trial that another process times too."""

    def __init__(self, tell: Callable[[str], None], spent: Seconds | None = None):
        super().__init__(spent)
        self._tell = tell

    @contextmanager
    def running(self) -> Iterator[None]:
        before_s = self.read().total
        self._tell(RUNNING)
        try:
            with super().running():
                yield
        finally:
            self._tell(f"{STOPPED} {self.read().total - before_s!r}")


class AgreedClock(Clock):
    """The clock of several processes that train together: they see the first one's."""

    def __init__(self, hosts: Hosts, spent: Seconds | None = None):
        super().__init__(spent)
        self._hosts = hosts

    def read(self) -> Seconds:
        own = super().read()
        return Seconds(**self._hosts.agree(own.as_dict))

    def submission_s(self) -> float:
        return self._hosts.agree(super().submission_s)


class _Queue:
    """An endless iterator without a way back to what it iterates over."""

    def __init__(self, take: Callable[[], Any]):
        self._take = take

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._take()


@contextmanager
def _compile_listener(
    note: Callable[[float], None], note_saved: Callable[[float], None]
) -> Iterator[None]:
    """Calls `note` with the seconds this thread spends tracing and compiling, and
    `note_saved` with those that a cache saves it.

    Events nest (the trace of an inner function lies within that of the outer one)
    and arrive when they end: of a nested one only the outer counts.
    """
    thread = threading.get_ident()
    spans: list[tuple[float, float]] = []

    def on_event(event: str, duration_secs: float, **kwargs: Any) -> None:
        del kwargs
        if threading.get_ident() != thread:
            return
        if event == _SAVED_EVENT:
            note_saved(duration_secs)
        if not event.startswith(_COMPILE_EVENTS):
            return
        end = _now()
        start = end - duration_secs
        inner = 0.0
        while spans and spans[-1][0] >= start:
            inner += spans[-1][1] - spans[-1][0]
            spans.pop()
        spans.append((start, end))
        note(duration_secs - inner)

    jax.monitoring.register_event_duration_secs_listener(on_event)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(on_event)
