"""Which seconds are the submission's: shown with a clock that tests move."""

import time

import jax
import jax.numpy as jnp
import pytest
from fakes import FakeTime

from algoperf.clock import Clock, Seconds


@pytest.fixture
def now() -> FakeTime:
    return FakeTime()


def fake_clock(now: FakeTime, device_s: float = 0.0, spent=None) -> Clock:
    """A clock for which waiting for the device takes `device_s`."""
    return Clock(spent, now=now, wait=lambda tree: now.passes(device_s))


def test_time_is_the_submissions_unless_paused(now):
    clock = fake_clock(now)
    with clock.running():
        now.passes(3.0)
        with clock.paused(wait_for=None):
            now.passes(50.0)
            with clock.logging():
                now.passes(7.0)
            now.passes(2.0)
        now.passes(1.0)
    assert clock.read() == Seconds(submission=4.0, evaluation=52.0, logging=7.0)


def test_the_parts_sum_to_the_total(now):
    clock, began = fake_clock(now, device_s=0.7), now.s
    with clock.running():
        for step in range(20):
            now.passes(0.1 * step)
            with clock.paused(wait_for=None):
                now.passes(0.3)
                with clock.logging():
                    now.passes(0.05 * step)
    seconds = clock.read()
    assert seconds.total == pytest.approx(now.s - began)
    assert seconds.total == pytest.approx(
        seconds.submission + seconds.evaluation + seconds.logging
    )


def test_queued_device_work_is_charged_to_the_submission(now):
    clock = fake_clock(now, device_s=5.0)
    with clock.running():
        now.passes(1.0)  # queueing the steps
        with clock.paused(wait_for=None):
            now.passes(10.0)
    assert clock.read() == Seconds(submission=6.0, evaluation=10.0)


def test_real_queued_work_is_charged_to_the_submission():
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 60, lambda _, y: jnp.sin(y @ y), x))
    x = jnp.ones((400, 400))
    slow(x).block_until_ready()
    start = time.perf_counter()
    slow(x).block_until_ready()
    work_s = time.perf_counter() - start
    clock = Clock()
    with clock.running():
        result = slow(x)
        with clock.paused(wait_for=result):
            pass
    seconds = clock.read()
    assert seconds.submission > 0.3 * work_s
    assert seconds.evaluation < seconds.submission


def test_seconds_of_an_earlier_process_are_kept(now):
    spent = Seconds(submission=10.0, evaluation=20.0, logging=30.0, compile=4.0)
    clock = fake_clock(now, spent=spent)
    with clock.running():
        now.passes(1.0)
    assert clock.read() == Seconds(11.0, 20.0, 30.0, 4.0)


def test_a_stopped_clock_stands(now):
    clock = fake_clock(now)
    with clock.running():
        now.passes(1.0)
    now.passes(99.0)
    assert clock.read().total == clock.submission_s() == 1.0


def test_submission_seconds_stand_while_paused(now):
    clock = fake_clock(now)
    with clock.running():
        now.passes(2.0)
        assert clock.submission_s() == 2.0
        with clock.paused(wait_for=None):
            now.passes(5.0)
            assert clock.submission_s() == 2.0


def test_time_is_charged_when_the_submission_raises(now):
    clock = fake_clock(now)

    def train():
        with clock.running():
            now.passes(2.0)
            with clock.paused(wait_for=None):
                now.passes(4.0)
                raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        train()
    assert clock.read() == Seconds(submission=2.0, evaluation=4.0)


def test_waiting_for_data_is_part_of_the_submissions_time(now):
    def batches():
        while True:
            now.passes(0.25)
            yield "batch"

    clock = fake_clock(now)
    queue = clock.timed(batches())
    with clock.running():
        for _ in range(4):
            assert next(queue) == "batch"
            now.passes(1.0)
    assert clock.read() == Seconds(submission=5.0, data_wait=1.0)


def test_compile_seconds_are_counted_only_on_the_submissions_time():
    def compiled(factor):
        jax.jit(lambda x: jnp.tanh(x * factor).sum())(jnp.ones(3)).block_until_ready()

    clock = Clock()
    with clock.running():
        with clock.paused(wait_for=None):
            compiled(2.0)
        assert clock.read().compile == 0.0
        compiled(3.0)
        seconds = clock.read()
    assert 0.0 < seconds.compile <= seconds.submission


def test_nested_compile_events_count_once(now):
    clock = Clock()
    with clock.running():
        start = time.perf_counter()
        # An inner function traced within an outer one: both report a duration.
        inner = jax.jit(lambda x: jnp.sin(x) + jnp.cos(x))
        jax.jit(lambda x: inner(inner(x)) * inner(x + 1))(jnp.ones(4))
        elapsed = time.perf_counter() - start
        assert clock.read().compile <= elapsed
