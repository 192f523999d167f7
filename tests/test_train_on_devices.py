"""Every mini workload trains to the same numbers on 1, 2, 4 and 8 devices.

Sums over a batch are added up in another order on another number of devices, so that
numbers differ by rounding, which grows a little with every step. Stated in
docs/clusters.md.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment

from workloads.catalog import CATALOG

PROGRAM = Path(__file__).with_name("train_on_devices.py")
MINIS = [name for name, facts in CATALOG.items() if facts.scale == "mini"]
# Of a loss, relative; of a metric that counts right answers, so many per cent.
LOSS, COUNTED = 1e-4, 0.01


def trained(folder: Path, name: str, devices: int) -> dict[str, float]:
    variables = environment(devices)
    variables["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles fast
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), name],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", MINIS)
def test_any_number_of_devices_trains_to_the_same_numbers(tmp_path, name):
    one = trained(tmp_path, name, 1)
    assert any(key.endswith("loss") for key in one)
    for devices in (2, 4, 8):
        found = trained(tmp_path, name, devices)
        print(name, devices, {k: (v, found[k]) for k, v in one.items()})
        for key, value in one.items():
            is_loss = key.endswith(("loss", "ssim"))
            wanted = (
                pytest.approx(value, rel=LOSS)
                if is_loss
                else pytest.approx(value, abs=COUNTED)
            )
            assert found[key] == wanted, (devices, key)
