"""Neither the batch size nor the number of devices changes what is measured."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_wmt_runner
from conftest import environment
from small_wmt import EXAMPLES

SIZES = ("5", "16")  # splits of 9, 13 and 7: in parts, padded
MORE_DEVICES = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 4, 8)]


@functools.cache
def measured(devices: int) -> dict[str, dict[str, Any]]:
    """What a process with so many devices measures, by batch size."""
    variables = environment(devices)
    variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
    process = subprocess.run(
        [sys.executable, str(Path(small_wmt_runner.__file__)), *SIZES],
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.parametrize("devices", [2, *MORE_DEVICES])
@pytest.mark.parametrize("size", SIZES)
def test_batch_size_and_devices_change_nothing(devices, size):
    found, expected = dict(measured(devices)[size]), dict(measured(2)["16"])
    texts = expected.pop("texts")
    assert found.pop("texts") == texts
    assert len(texts) == EXAMPLES["validation"]
    assert len({tuple(text) for text in texts}) > 3, "the sources make a difference"
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
