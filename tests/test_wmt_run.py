"""wmt's whole way: prepared or random data, ten steps, an evaluation with BLEU."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from tiny_wmt import FACTS, RAW, lines, prepared, write_text

from algoperf.data_options import DataOptions
from algoperf.evaluate import evaluate
from algoperf.optax_submission import make_train_step
from workloads.wmt.workload import build

KEY = jax.random.PRNGKey(0)
SHALLOW = replace(FACTS, model=dict(FACTS.model) | {"depth": 1})  # compiles faster


@pytest.fixture(params=["prepared", pytest.param("random", marks=pytest.mark.slow)])
def workload(request, tmp_path):
    if request.param == "random":
        return build(SHALLOW, None, DataOptions(random=True))
    write_text(tmp_path / RAW, lines())
    return build(SHALLOW, prepared(tmp_path), DataOptions())


def test_ten_steps_and_an_evaluation(workload):
    params, state = workload.init_model_fn(KEY)
    optimizer = optax.adam(3e-2)
    step = make_train_step(workload, optimizer, None)
    optimizer_state, seen = optimizer.init(params), []
    batches = workload.batches("train", 2)
    for i in range(10):
        batch = next(batches)
        assert batch["inputs"].shape == (2, 256)
        params, state, optimizer_state, logged = step(
            params, state, optimizer_state, batch, jax.random.fold_in(KEY, i)
        )
        seen.append(float(logged["loss"]))
    assert np.all(np.isfinite(seen))
    assert seen[-1] < seen[0]
    values = evaluate(workload, params, state, KEY)
    splits = ("train", "validation", "test")
    for split in splits:
        assert 0 < values[f"{split}/loss"] < 20
        assert 0 <= values[f"{split}/accuracy"] <= 1
        assert 0 <= values[f"{split}/bleu"] <= 100
