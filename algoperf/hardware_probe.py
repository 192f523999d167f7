"""How fast this machine is: three rates, measured in seconds and before the clock.

The rates are there to be compared between machines, not with a data sheet: each is the
best of several repetitions, because what disturbs a repetition only makes it slower.
"""

import io
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

QUICK_S = 0.6
FULL_S = 9.0  # ten with compiling and drawing

# Sizes at which an accelerator is busy, and at which a CPU answers in milliseconds.
_MATMUL_ROWS = {"cpu": 1024}
_MATMUL_ROWS_ACCELERATOR = 8192
_COPIED_BYTES = {"cpu": 2**26}
_COPIED_BYTES_ACCELERATOR = 2**30
_IMAGE_SIZE = 256
_IMAGES = 8


@dataclass(frozen=True)
class HardwareRates:
    """What one device, and one thread of its host, did per second.

    `matmul_flop_per_s` counts 2 n^3 operations of a float32 product at JAX's default
    precision; `memory_bytes_per_s` counts what is read and what is written;
    `host_decode_bytes_per_s` counts pixels of decoded JPEG images.
    """

    matmul_flop_per_s: float
    memory_bytes_per_s: float
    host_decode_bytes_per_s: float
    probe_s: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def probe(budget_s: float = QUICK_S) -> HardwareRates:
    """Measures for about `budget_s` seconds, and compiling two small programs."""
    start = time.perf_counter()
    part_s = budget_s / 3
    platform = jax.local_devices()[0].platform
    rows = _MATMUL_ROWS.get(platform, _MATMUL_ROWS_ACCELERATOR)
    copied = _COPIED_BYTES.get(platform, _COPIED_BYTES_ACCELERATOR)
    return HardwareRates(
        matmul_flop_per_s=2.0 * rows**3 / _matmul_s(rows, part_s),
        memory_bytes_per_s=2.0 * copied / _copy_s(copied, part_s),
        host_decode_bytes_per_s=_decode_bytes_per_s(part_s),
        probe_s=time.perf_counter() - start,
    )


def matmul_flop_per_s(budget_s: float = QUICK_S / 3) -> float:
    """The first of the rates alone."""
    platform = jax.local_devices()[0].platform
    rows = _MATMUL_ROWS.get(platform, _MATMUL_ROWS_ACCELERATOR)
    return 2.0 * rows**3 / _matmul_s(rows, budget_s)


def _matmul_s(rows: int, budget_s: float) -> float:
    matrix = jax.device_put(jnp.ones((rows, rows)), jax.local_devices()[0])
    product = jax.jit(jnp.matmul)
    return best_s(lambda: product(matrix, matrix).block_until_ready(), budget_s)


def _copy_s(size_bytes: int, budget_s: float) -> float:
    array = jax.device_put(jnp.ones(size_bytes // 4), jax.local_devices()[0])
    add_one = jax.jit(lambda x: x + 1.0)  # a plain copy would be optimised away
    return best_s(lambda: add_one(array).block_until_ready(), budget_s)


def _decode_bytes_per_s(budget_s: float) -> float:
    # A fixed picture with detail in it: of a flat one, decoding is mostly overhead.
    row = np.arange(_IMAGE_SIZE)
    pixels = (row[:, None] * row[None, :])[..., None] * np.array([1, 3, 7]) % 256
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=90)
    jpeg = file.getvalue()

    def decode() -> None:
        for _ in range(_IMAGES):
            Image.open(io.BytesIO(jpeg)).load()

    # Seconds of this thread: what else runs on the host does not slow it down.
    return _IMAGES * pixels.size / best_s(decode, budget_s, time.thread_time)


def best_s(
    work: Callable[[], object],
    budget_s: float,
    now: Callable[[], float] = time.perf_counter,
) -> float:
    """The shortest of as many calls as fit into `budget_s`, at least two.

    The first call is left out: it compiles, and fills caches.
    """
    work()
    durations: list[float] = []
    end = now() + budget_s
    while len(durations) < 2 or now() < end:
        start = now()
        work()
        durations.append(now() - start)
    return min(durations)
