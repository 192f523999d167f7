"""What a train step costs on 8 to 512 devices, by the bytes that it has to sum.

The bytes are read from the program that XLA makes of the real step for two devices. The
rest is a model of weak scaling (every device keeps its part of the batch):

    step(n) = step + max(all_reduce(n) - hidden * step, 0)

A ring within each machine, then one between machines over every device's own link, then
back (as NCCL does it; bandwidths are those of one device, `hop` is the latency of one):

    all_reduce(n) = 2 (g - 1) (bytes / g / inner + hop)
                  + 2 (m - 1) (bytes / g / m / outer + hop)

for m machines of g devices. `hidden` is how much of the step can run beside the sums:
none, and two thirds, the backward pass. Printed is the efficiency, step / step(n), for
both. With --strong the batch stays AlgoPerf's, so that each device's part of it, and of
the step's time on 4 devices, shrinks.

  python benchmarks/scaling.py --workloads=imagenet_resnet,wmt
  python benchmarks/scaling.py --workloads=wmt --step_s=0.1 --inner_gb_s=150
"""

import argparse
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

os.environ["JAX_NUM_CPU_DEVICES"] = "2"

import jax

from algoperf.compiled_step import abstract_state, batch_shapes
from algoperf.submission import load_submission
from algoperf.submission_check import Caller
from workloads.loading import without_data

SUBMISSION = Path(__file__).parents[1] / "submissions" / "self_tuning" / "nadamw"
# Seconds a step of AlgoPerf's batch size on 4 A100 (40 GB): the median of the faster
# framework in the public logs of AlgoPerf 0.6; of finewebedu_lm, which they lack, what
# its budget leaves for a step.
STEP_S = {
    "criteo1tb": 0.953,
    "fastmri": 0.0853,
    "finewebedu_lm": 0.444,
    "imagenet_resnet": 0.470,
    "imagenet_vit": 0.502,
    "librispeech_conformer": 0.621,
    "librispeech_deepspeech": 1.067,
    "ogbg": 0.208,
    "wmt": 0.348,
}
MEASURED_ON = 4
DEVICES = (8, 16, 32, 64, 128, 256, 512)
BACKWARD = 2 / 3
_BITS = {"pred": 8, "bf16": 16}


@dataclass(frozen=True)
class Network:
    """What one device can send: bytes a second and seconds a hop."""

    a_machine: int
    inner_bytes_per_s: float
    outer_bytes_per_s: float
    hop_s: float

    def all_reduce_s(self, size_bytes: float, devices: int) -> float:
        """Seconds to sum `size_bytes` on each of the devices."""
        inner = min(devices, self.a_machine)
        machines = devices // inner
        part = size_bytes / inner
        return 2 * (inner - 1) * (part / self.inner_bytes_per_s + self.hop_s) + 2 * (
            machines - 1
        ) * (part / machines / self.outer_bytes_per_s + self.hop_s)


def efficiency(step_s: float, all_reduce_s: float, hidden_share: float) -> float:
    """The part of a device's time that is left for the step itself."""
    return step_s / (step_s + max(all_reduce_s - hidden_share * step_s, 0.0))


def all_reduce_bytes(name: str) -> int:
    """Bytes that a train step of a workload sums over the devices."""
    workload = without_data(name)
    caller = Caller(workload, load_submission(SUBMISSION), None)
    state = abstract_state(caller)
    batch = batch_shapes(workload, "train", caller.batch_size())
    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))

    def step(arrays, batch, key):
        after = caller.step(state.rebuild(arrays), iter([batch]), 0, key)
        return [leaf for leaf in jax.tree.leaves(after) if hasattr(leaf, "shape")]

    program = jax.jit(step).lower(state.shapes, batch, key).compile().as_text()
    return sum(summed_bytes(program or ""))


def summed_bytes(program: str) -> Iterator[int]:
    """Bytes of the results of every all-reduce in XLA's text of a program."""
    for line in program.splitlines():
        result, found, _ = line.partition(" all-reduce(")
        if not found:
            result, found, _ = line.partition(" all-reduce-start(")
        if found:
            shapes = result.partition(" = ")[2]
            for dtype, dims in re.findall(r"\b([a-z]+[0-9]*)\[([0-9,]*)\]", shapes):
                bits = _BITS.get(dtype) or int(
                    dtype.lstrip("abcdefghijklmnopqrstuvwxyz")
                )
                yield bits // 8 * prod(int(n) for n in dims.split(",") if n)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", default=",".join(STEP_S), help="by commas")
    parser.add_argument("--step_s", type=float, help="of one device; else of an A100")
    parser.add_argument("--strong", action="store_true", help="one batch for all")
    parser.add_argument("--a_machine", type=int, default=8, help="devices a machine")
    parser.add_argument("--inner_gb_s", type=float, default=230, help="in a machine")
    parser.add_argument("--outer_gb_s", type=float, default=20, help="between machines")
    parser.add_argument("--hop_us", type=float, default=5)
    given = parser.parse_args()
    network = Network(
        given.a_machine,
        given.inner_gb_s * 1e9,
        given.outer_gb_s * 1e9,
        given.hop_us / 1e6,
    )
    print("| workload | step s | summed MB |" + "".join(f" {n} |" for n in DEVICES))
    print("|---|--:|--:|" + "--:|" * len(DEVICES))
    for name in given.workloads.split(","):
        size_bytes, step_s = all_reduce_bytes(name), given.step_s or STEP_S[name]
        cells = [f"`{name}`", f"{step_s:.3g}", f"{size_bytes / 1e6:,.1f}"]
        for devices in DEVICES:
            seconds = network.all_reduce_s(size_bytes, devices)
            own_s = step_s * MEASURED_ON / devices if given.strong else step_s
            low, high = (efficiency(own_s, seconds, h) for h in (0.0, BACKWARD))
            cells.append(f"{low:.2f}–{high:.2f}")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
