"""Neither the batch size nor the number of devices changes what is measured."""

import functools
from pathlib import Path
from typing import Any

import eval_on_devices
import numpy as np
import pytest
import small_vision

RUNNER = Path(small_vision.__file__)
SIZES = ("3", "17", "40")  # splits of 13, 17 and 9: in parts, whole, padded
MORE_DEVICES = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 4, 8)]
every_device_count = pytest.mark.parametrize("devices", [2, *MORE_DEVICES])
every_name = pytest.mark.parametrize("name", small_vision.NAMES)


@functools.cache
def measured(devices: int) -> dict[str, dict[str, Any]]:
    """What a process with so many devices measures, by workload and batch size."""
    return eval_on_devices.measured(RUNNER, SIZES, devices)


def assert_close(found, expected, rtol):
    for metric, value in expected.items():
        np.testing.assert_allclose(found[metric], value, rtol=rtol, err_msg=metric)


@every_device_count
@every_name
def test_a_split_is_measured_on_all_of_its_examples(name, devices):
    values = measured(devices)[name]
    expected = dict(values["by hand"])
    assert expected.pop("spread") > 0.01, "the images make a difference"
    assert expected.keys() <= values["17"].keys()
    assert_close(values["17"], expected, rtol=1e-5)
    counts = [values["17"][f"{split}/num_examples"] for split in ("validation", "test")]
    assert counts == [17, 9]


@every_device_count
@every_name
@pytest.mark.parametrize("size", SIZES)
def test_batch_size_and_devices_change_nothing(name, devices, size):
    found, expected = measured(devices)[name][size], measured(2)[name]["17"]
    assert found.keys() == expected.keys()
    assert_close(found, expected, rtol=1e-6)
