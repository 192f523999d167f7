"""Speech is measured the same in batches of any size, on any number of devices."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_speech
from conftest import environment

from workloads.librispeech.metrics import speech_metrics
from workloads.librispeech.tokenizers import LetterTokenizer, NumberTokenizer

RUNNER = Path(small_speech.__file__)
SIZES = ("2", "5", "12")  # splits of 7, 9 and 5: in parts, whole, padded
MORE_DEVICES = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 4, 8)]
every_device_count = pytest.mark.parametrize("devices", [2, *MORE_DEVICES])
every_name = pytest.mark.parametrize("name", small_speech.NAMES)


@functools.cache
def measured(devices: int) -> dict[str, dict[str, Any]]:
    """What a process with so many devices measures, by workload and batch size."""
    variables = environment(devices)
    variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
    process = subprocess.run(
        [sys.executable, str(RUNNER), *SIZES],
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    return {name: values for line in lines for name, values in line.items()}


def assert_close(found, expected, rtol):
    for metric, value in expected.items():
        np.testing.assert_allclose(found[metric], value, rtol=rtol, err_msg=metric)


@every_device_count
@every_name
def test_a_split_is_measured_on_all_of_its_utterances(name, devices):
    values = measured(devices)[name]
    assert_close(values["12"], values["by hand"], rtol=1e-5)
    assert values["12"]["validation/wer_strict"] > values["12"]["validation/wer"]
    assert values["12"]["validation/wer_strict"] != 1, "something is said"
    counts = [values["12"][f"{split}/num_examples"] for split in ("validation", "test")]
    assert counts == [9, 5]


@every_device_count
@every_name
@pytest.mark.parametrize("size", SIZES)
def test_batch_size_and_devices_change_nothing(name, devices, size):
    found, expected = measured(devices)[name][size], measured(2)[name]["12"]
    assert found.keys() == expected.keys()
    assert_close(found, expected, rtol=1e-5)


def measurement(references, hypotheses, weights):
    """What `measure_speech` returns, of rows of pieces."""

    def padded(rows):
        longest = max(map(len, rows))
        pieces = np.array([row + [0] * (longest - len(row)) for row in rows], np.int32)
        return pieces, np.array([len(row) for row in rows])

    return {
        "ctc_loss": (np.float32(6.0), np.float32(4.0)),
        "references": padded(references),
        "hypotheses": padded(hypotheses),
        "weights": np.array(weights, np.float32),
    }


def test_rates_by_hand_with_padded_rows():
    tokenizer = LetterTokenizer("abc")
    a, b, end = 3, 4, 2
    part = measurement(
        [[a, b, end], [b, end], [0, 0]], [[a, b], [a, b], [a]], [1, 1, 0]
    )
    # "a b" is right; "a b" instead of "b" is a word too many, and AlgoPerf's prefix
    # moves to it: two edits there. Pseudo-words: two for each of two utterances.
    values = speech_metrics(tokenizer).summarize([part, part])
    assert values == {
        "ctc_loss": 1.5,
        "wer": pytest.approx(2 / (3 + 4)),
        "wer_strict": pytest.approx(1 / 3),
    }


def test_random_batches_have_numbers_for_words():
    tokenizer = NumberTokenizer(1024)
    assert tokenizer.decode_all([[7, 1023, 2], []]) == ["7 1023", ""]
    assert tokenizer.encode("7 1023") == [7, 1023]
