"""What evaluations of a small wmt measure, in a process of its own.

usage: python tests/small_wmt_runner.py EVAL_BATCH_SIZE ...

Prints a line of JSON: the values by batch size, and the translations under "texts".
"""

import json
import sys

import jax
import numpy as np
from small_wmt import EXAMPLES, perturbed, small_mini

from algoperf.evaluate import evaluate


def main(sizes: list[str]) -> None:
    workload = small_mini()
    params, key, found = perturbed(workload), jax.random.PRNGKey(1), {}
    for size in sizes:
        found[size] = evaluate(workload, params, None, key, int(size))
        rounded = -(-int(size) // jax.device_count()) * jax.device_count()
        parts = [
            workload.measure(params, None, batch, key)["hypotheses"]
            for batch in workload.batches("validation", rounded)
        ]
        rows = np.concatenate([np.asarray(part) for part in parts])
        found[size]["texts"] = rows[: EXAMPLES["validation"]].tolist()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
