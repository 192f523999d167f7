"""Several processes that train together: the same numbers, one writer, one decision."""

import csv
import signal
import socket
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import command, environment
from test_resume import WALL_CLOCK, trial_of, wait_for_evaluations

from algoperf.cli.main import main
from algoperf.clock import AgreedClock, Seconds
from algoperf.cluster import Alone, ToldError
from algoperf.facts import UserError
from algoperf.hosts import Together
from algoperf.records import read_json

SUBMISSION = Path(__file__).parent / "submissions" / "resumable"
STEPS = 40
PATIENCE_S = 240  # on a busy machine
FLAGS = (
    "run",
    "--workload=digits",
    f"--submission_path={SUBMISSION}",
    f"--max_global_steps={STEPS}",
    "--eval_every_steps=10",
)


class Store:
    """JAX's key-value store, within this process."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._changed = threading.Condition()

    def key_value_set(self, key: str, value: str) -> None:
        with self._changed:
            self.values[key] = value
            self._changed.notify_all()

    def blocking_key_value_get(self, key: str, timeout_ms: int) -> str:
        del timeout_ms  # a day
        with self._changed:
            assert self._changed.wait_for(lambda: key in self.values, PATIENCE_S), key
            return self.values[key]

    def key_value_dir_get(self, prefix: str) -> list[tuple[str, str]]:
        with self._changed:
            return [(k, v) for k, v in self.values.items() if k.startswith(prefix)]

    def key_value_delete(self, key: str) -> None:
        with self._changed:
            self.values.pop(key, None)


@pytest.fixture
def pair() -> tuple[Together, Together]:
    store = Store()
    return Together(store, 0), Together(store, 1)


def not_called() -> None:
    raise AssertionError("only the first process looks")


def test_all_get_what_the_first_process_finds(pair):
    first, second = pair
    assert (first.first, second.first) == (True, False)
    for value in (1.5, None, {"a": [1, 2]}, "text"):
        assert first.agree(lambda value=value: value) == value
        assert second.agree(not_called) == value


def test_the_others_see_the_first_ones_clock(pair):
    first, second = pair
    spent = Seconds(submission=3.0, evaluation=1.0, compile=0.5)
    assert AgreedClock(first, spent).read() == spent
    assert AgreedClock(second).read() == spent
    assert AgreedClock(first, spent).submission_s() == 3.0
    assert AgreedClock(second).submission_s() == 3.0


def test_an_error_of_the_first_process_ends_the_others(pair):
    first, second = pair
    first.agree(lambda: 1)
    second.agree(not_called)
    first.tell(UserError("the disk is full"))
    with pytest.raises(ToldError, match="the disk is full"):
        second.agree(not_called)


def test_so_does_one_in_what_should_have_been_agreed(pair):
    def full_disk() -> None:
        raise UserError("the disk is full")

    first, second = pair
    with pytest.raises(UserError) as raised:
        first.agree(full_disk)
    first.tell(raised.value)
    with pytest.raises(ToldError, match="the disk is full"):
        second.agree(not_called)


@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_any_process_stops_all_at_the_same_place(pair, asked):
    pair[asked].ask_to_stop(signal.SIGTERM)
    waited = threading.Event()
    for _ in range(100):
        pair[0].agree(lambda: None)
        pair[1].agree(not_called)
        assert pair[0].stop_signal == pair[1].stop_signal
        if pair[0].stop_signal is not None:
            break
        waited.wait(0.05)
    assert pair[0].stop_signal == signal.SIGTERM


def test_messages_of_long_ago_are_dropped(pair):
    first, second = pair
    for _ in range(1_100):
        first.agree(lambda: 0)
        second.agree(not_called)
    first._sender.shutdown()
    assert len(first._client.values) <= 1_002


def test_a_run_of_one_process_agrees_with_itself():
    alone = Alone()
    assert alone.agree(lambda: 3) == 3
    assert alone.stop_signal is None
    alone.ask_to_stop(2)
    assert alone.stop_signal == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--num_processes=2"],
            "--coordinator_address and --process_id missing: every process needs all",
        ),
        (
            ["--coordinator_address=a:1", "--num_processes=2", "--process_id=2"],
            "--process_id=2 is not below --num_processes=2; it counts from 0.",
        ),
    ],
)
def test_half_an_address_is_refused(capsys, flags, message):
    assert main([*FLAGS, *flags]) == 2
    assert message in capsys.readouterr().err


# --- two real processes with two devices each ---------------------------------------


def start_pair(folder: Path, *flags: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    return [
        subprocess.Popen(
            command(
                [
                    *FLAGS,
                    f"--coordinator_address={address}",
                    "--num_processes=2",
                    f"--process_id={index}",
                    *flags,
                ]
            ),
            cwd=folder,
            env=environment(2),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """(exit code, output, errors) of each."""
    results = []
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE_S)
        results.append((process.returncode, output, errors))
    return results


def numbers(folder: Path) -> list[dict[str, float]]:
    with open(trial_of(folder) / "eval_measurements.csv", newline="") as stream:
        return [
            {name: float(v) for name, v in row.items() if name not in WALL_CLOCK}
            for row in csv.DictReader(stream)
        ]


def test_two_processes_train_as_one_and_go_on_after_a_signal_to_either(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    whole = subprocess.run(
        command([*FLAGS, "--rng_seed=7"]),
        cwd=one,
        env=environment(4),
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert whole.returncode == 0
    # Slow enough to be in the middle when the signal comes.
    processes = start_pair(two, "--rng_seed=7", "--max_global_steps=4000")
    wait_for_evaluations(processes[0], two, 3, PATIENCE_S)
    processes[1].send_signal(signal.SIGTERM)
    results = ended(processes)
    assert [code for code, _, _ in results] == [143, 143]
    assert "continue with this command line" in results[0][2]
    assert "resumable digits" in results[0][1]
    assert "resumable digits" not in results[1][1]  # only the first one shows anything
    record = read_json(trial_of(two) / "trial.json")
    assert record["outcome"] is None
    assert record["steps"] > 20

    # Without the seed: the first process reads it from the plan, and tells the other.
    refused = ended(start_pair(two, "--rng_seed=8", "--max_global_steps=4000"))
    assert [code for code, _, _ in refused] == [2, 2]
    assert "was written with --rng_seed=7, not 8" in refused[0][2]
    assert "rng_seed" not in refused[1][2]

    before = len(numbers(two))
    goes_on = start_pair(two, "--max_global_steps=4000")
    wait_for_evaluations(goes_on[0], two, before + 1, PATIENCE_S)
    goes_on[0].send_signal(signal.SIGINT)
    results = ended(goes_on)
    assert [code for code, _, _ in results] == [130, 130]
    assert f"resumed from step {record['steps']}" in results[0][1]

    expected, found = numbers(one), numbers(two)
    assert len(found) > before >= 3
    for row, other in zip(expected, found, strict=False):
        assert row.keys() == other.keys()
        np.testing.assert_allclose(
            list(row.values()), list(other.values()), rtol=1e-4, atol=1e-5
        )
