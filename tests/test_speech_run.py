"""Speech workloads from FLAC files and from random batches to word error rates."""

import math
from dataclasses import replace

import pytest
import speech_files as raw
from fakes import Quiet, compiled_functions

from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.stop_request import StopRequest
from algoperf.study import TrialPlan
from algoperf.trial_run import TrialRun
from algoperf.trial_settings import RunOptions
from workloads.catalog import CATALOG
from workloads.loading import build

TWO = '''
"""Gradient descent on batches of two."""
import optax
from algoperf.optax_submission import optax_submission

_, init_optimizer_state, update_params = optax_submission(
    lambda hyperparameters, step_hint: optax.adam(1e-3)
)

def get_batch_size(workload_name):
    return 2
'''
_LITTLE = {"vocab_size": raw.VOCAB_SIZE, "encoder_dim": 8}
SMALL = {
    "librispeech_conformer": _LITTLE | {"num_blocks": 1, "num_heads": 2},
    "librispeech_deepspeech": _LITTLE
    | {"num_lstm_layers": 1, "num_feed_forward_layers": 1},
}
WHOLE = {name: {"vocab_size": raw.VOCAB_SIZE} for name in SMALL}


class Watch(Quiet):
    """Keeps what the last evaluation measured, and how much was compiled until each."""

    values: dict[str, float]

    def __init__(self, compiled: list[str]):
        super().__init__()
        self._compiled = compiled
        self.compiled_until: list[int] = []

    def evaluated(self, progress):
        self.values = progress.eval_results[-1][1]
        self.compiled_until.append(len(self._compiled))


def trained(tmp_path, name, model, folder, steps=10, every=None, **options):
    """A trial on tiny data, or on random batches without a folder."""
    submission = tmp_path / "two.py"
    submission.write_text(TWO)
    facts = replace(
        CATALOG[name], examples=raw.EXAMPLES, eval_batch_size=4, model=model
    )
    data = DataOptions(threads=2, random=folder is None, **options)
    workload = build(facts, folder, data)
    plan = TrialPlan(0, 1, 3, None, tmp_path / "trial_1")
    run_options = RunOptions(
        "self",
        Limits(max_runtime_s=1e9, max_steps=steps, eval_every_steps=every),
        save_checkpoints=False,
        random_data=data.random,
    )
    with compiled_functions() as compiled:
        watch = Watch(compiled)
        trial = TrialRun(plan, workload, submission, run_options, watch)
        record = trial.run(StopRequest())
    return record, watch


def assert_trained(record, values, steps: int, words: dict[str, int] | None):
    assert record["error"] is None
    assert (record["outcome"], record["steps"]) == ("out of steps", steps)
    for split in ("train", "validation", "test"):
        for metric in ("ctc_loss", "wer", "wer_strict"):
            assert math.isfinite(values[f"{split}/{metric}"])
        assert values[f"{split}/ctc_loss"] > 0
        assert values[f"{split}/wer_strict"] > 0
    for split, count in (words or {}).items():
        edits = values[f"{split}/wer_strict"] * count
        assert edits == pytest.approx(round(edits))


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("librispeech_conformer", True),
        ("librispeech_deepspeech", False),
        pytest.param("librispeech_conformer", False, marks=pytest.mark.slow),
        pytest.param("librispeech_deepspeech", True, marks=pytest.mark.slow),
    ],
)
def test_small_models_train_for_an_epoch(tmp_path, name, real):
    folder = raw.write_prepared(tmp_path) if real else None
    steps = raw.EXAMPLES["train"] // 2
    record, watch = trained(tmp_path, name, SMALL[name], folder, steps, every=8)
    words = {
        split: sum(len(raw.transcript(n).split()) for n in raw.names_of(split))
        for split in ("validation", "test")
    }
    assert_trained(record, watch.values, steps, words if real else None)
    # Utterances of all lengths: all is compiled until the first evaluation has ended.
    assert len(watch.compiled_until) == 3
    assert len({*watch.compiled_until}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("real", [True, False])
def test_whole_models_train_for_ten_steps(tmp_path, name, real):
    folder = raw.write_prepared(tmp_path) if real else None
    record, watch = trained(tmp_path, name, WHOLE[name], folder)
    assert record["num_params"] > 17_000_000
    assert_trained(record, watch.values, 10, None)


def test_without_a_tokenizer_a_run_is_refused(tmp_path):
    folder = raw.write_prepared(tmp_path)
    (folder / "spm_model.vocab").unlink()
    name = "librispeech_conformer"
    with pytest.raises(UserError, match="without it there is no word error rate"):
        trained(tmp_path, name, SMALL[name], folder)


@pytest.mark.slow
def test_under_strict_a_damaged_utterance_ends_the_trial(tmp_path):
    bad = raw.names_of("train")[7]
    folder = raw.write_damaged(tmp_path, [bad])
    name = "librispeech_conformer"
    with pytest.raises(UserError, match=rf"^{bad} is damaged audio"):
        trained(tmp_path, name, SMALL[name], folder, steps=16, strict=True)
