"""A trace that cannot be made or written does not end a trial."""

import jax

from algoperf.clock import Clock
from algoperf.profiling import FIRST_STEP, STEPS, Profiler


def test_what_goes_wrong_is_said_and_that_is_all(tmp_path, monkeypatch):
    def no_room(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: No space left\nmore")

    said: list[str] = []
    profiler = Profiler(tmp_path, said.append)
    for name in ("start_trace", "stop_trace"):
        monkeypatch.setattr(jax.profiler, name, lambda *arguments: None)
    profiler.stepped(FIRST_STEP, Clock(), None)
    monkeypatch.setattr(jax.profiler, "stop_trace", no_room)
    profiler.stepped(FIRST_STEP + STEPS, Clock(), None)
    profiler.close()  # once is enough
    monkeypatch.setattr(jax.profiler, "start_trace", no_room)
    profiler.stepped(FIRST_STEP, Clock(), None)
    profiler.close()
    expected = f"no trace in {tmp_path}: RESOURCE_EXHAUSTED: No space left; the trial"
    assert [text.startswith(expected) for text in said] == [True, True]
