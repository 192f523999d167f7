"""Signals that ask for a stop, and signals that insist."""

import os
import signal
import time

import pytest

from algoperf.stop_request import StopRequest


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # the handler runs between two instructions


def test_the_same_request_twice_is_one_and_a_later_one_insists():
    stop = StopRequest(same_request_s=0.2)
    with stop.listening():
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            send(number)
        assert stop.signal_number == signal.SIGTERM
        time.sleep(0.25)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert stop.exit_code == 143


def test_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest().listening():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
