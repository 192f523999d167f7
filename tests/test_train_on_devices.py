"""Every mini workload trains to the same numbers on 1, 2, 4 and 8 devices.

Sums over a batch are added up in another order on another number of devices, so that
numbers differ by rounding, which grows a little with every step. Stated in
docs/clusters.md.
"""

from pathlib import Path

import pytest
from eval_on_devices import measured

from workloads.catalog import CATALOG

PROGRAM = Path(__file__).with_name("train_on_devices.py")
MINIS = [name for name, facts in CATALOG.items() if facts.scale == "mini"]
# Of what is a sum of real numbers: losses, perplexity, similarity of images.
RELATIVE = 1e-4
REAL = ("loss", "ppl", "ssim")
# Of a metric that counts right answers or ranks them, in [0, 1]: of 96 examples all
# count the same, but for one in hundreds of tokens or labels. BLEU is in per cent.
COUNTED = 0.005


@pytest.mark.slow
@pytest.mark.parametrize("name", MINIS)
def test_any_number_of_devices_trains_to_the_same_numbers(tmp_path, name):
    arguments = str(tmp_path), name
    one = measured(PROGRAM, arguments, 1)[name]
    assert any(key.endswith("loss") for key in one)
    for devices in (2, 4, 8):
        found = measured(PROGRAM, arguments, devices)[name]
        for key, value in one.items():
            if key.endswith(REAL):
                wanted = pytest.approx(value, rel=RELATIVE)
            else:
                scale = 100 if key.endswith("bleu") else 1
                wanted = pytest.approx(value, abs=COUNTED * scale)
            assert found[key] == wanted, (devices, key)
