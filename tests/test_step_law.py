"""The step law's numbers, by hand, and that it trains a language model."""

import jax
import numpy as np
import pytest

from algoperf.cli.bundled import bundled_submissions
from algoperf.submission import load_submission
from algoperf.submission_check import try_steps
from workloads.loading import load, without_data

# Li et al. (2025), abstract: N without the embedding, D tokens.
MINI_PARAMS = 2 * (4 * 96**2 + 96 * 512 + 256 * 96 + 2 * 96 + 1) + 96
FULL_PARAMS = 252_815_372 - 50_257 * 1_024


@pytest.fixture(scope="module")
def step_law():
    return load_submission(bundled_submissions()["step_law"])


@pytest.mark.parametrize(
    ("name", "tokens", "sequence", "params"),
    [
        ("finewebedu_lm_mini", 2_000 * 16 * 64, 64, MINI_PARAMS),
        ("finewebedu_lm", 72_000 * 64 * 1_024, 1_024, FULL_PARAMS),
    ],
)
def test_batch_and_rate_follow_the_law(step_law, name, tokens, sequence, params):
    size = step_law.get_batch_size(name)
    assert size % 2 == 0  # tests have two devices
    assert abs(size - 0.58 * tokens**0.571 / sequence) <= 1
    workload = load(name) if name.endswith("mini") else without_data(name)
    functions = step_law.init_optimizer_state.__globals__
    assert functions["non_embedding_params"](workload) == params
    assert functions["num_tokens"]() == tokens
    rate = functions["learning_rate"](workload)
    np.testing.assert_allclose(rate, 1.79 * params**-0.713 * tokens**0.307)


@pytest.mark.slow
def test_it_trains_a_language_model(step_law):
    seen = try_steps(load("finewebedu_lm_mini"), step_law, None, steps=3)
    assert seen.recompiled == ()
    assert not seen.nonfinite
    assert seen.metrics["validation/ppl"] < 1_300  # 1,024 tokens, and it began


@pytest.mark.parametrize("name", ["wmt_mini", "finewebedu_lm_mini", "mnist_mini"])
def test_examples_have_as_many_tokens_as_it_says(step_law, name):
    step_law.get_batch_size(name)
    inputs = jax.tree.leaves(load(name).example_batch["inputs"])[0]
    tokens = inputs.shape[1] if name != "mnist_mini" else 1
    assert step_law.init_optimizer_state.__globals__["tokens_per_example"]() == tokens
