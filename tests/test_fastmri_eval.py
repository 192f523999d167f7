"""Neither the batch size nor the number of devices changes what fastMRI measures."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_mri
from eval_on_devices import measured

SIZES = ("3", "17", "40")  # splits of 13, 17 and 9: in parts, whole, padded
MORE_DEVICES = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 4, 8)]
every_device_count = pytest.mark.parametrize("devices", [2, *MORE_DEVICES])


@functools.cache
def values(devices: int) -> dict[str, Any]:
    """What a process with so many devices measures, by batch size."""
    return measured(Path(small_mri.__file__), SIZES, devices)[small_mri.NAME]


@every_device_count
def test_a_split_is_measured_on_all_of_its_slices(devices):
    found = values(devices)
    for metric, value in found["by hand"].items():
        np.testing.assert_allclose(found["17"][metric], value, rtol=2e-5)
    counts = [found["17"][f"{split}/num_examples"] for split in ("validation", "test")]
    assert counts == [17, 9]
    # The splits are different, so that mixing them up would show.
    assert len({round(value, 4) for value in found["by hand"].values()}) == 6


@every_device_count
@pytest.mark.parametrize("size", SIZES)
def test_batch_size_and_devices_change_nothing(devices, size):
    found, expected = values(devices)[size], values(2)["17"]
    assert found.keys() == expected.keys()
    for metric, value in expected.items():
        np.testing.assert_allclose(found[metric], value, rtol=2e-6, err_msg=metric)
