"""Flags that name a file of the data, which is used anyway: others are refused."""

from pathlib import Path

import pytest
from absl import flags

from algoperf.cli import run_data, run_flags
from algoperf.cli.flag_parsing import parse
from algoperf.cli.run_command import Request, request_from
from algoperf.facts import UserError
from workloads.catalog import CATALOG

TOKENIZER = "--librispeech_tokenizer_vocab_path"
TEST_SET = "--imagenet_v2_data_dir"


def request(workload: str, data_dir: Path, given: str) -> Request:
    values = flags.FlagValues()
    run_flags.define(values)
    names = f"--workload=digits,{workload}", "--submission_path=adamw"
    parse(values, "", [*names, f"--data_dir={data_dir}", given])
    return request_from(values)


def touch_data(workload: str, data_dir: Path) -> Path:
    """Empty files under the names that the workload reads; their folder."""
    need = CATALOG[workload].data
    for pattern in need.alternatives[0]:
        file = data_dir / need.folder / pattern.replace("*", "-00000-of-00001")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return data_dir / need.folder


def test_another_tokenizer_than_the_datas_own_is_refused(tmp_path):
    workload = "librispeech_conformer"
    own = touch_data(workload, tmp_path) / "spm_model.vocab"
    assert request(workload, tmp_path, f"{TOKENIZER}={own}").data_dir == tmp_path
    with pytest.raises(UserError) as error:
        request(workload, tmp_path, f"{TOKENIZER}=/x/spm_model.vocab")
    assert str(error.value) == (
        f"{TOKENIZER}=/x/spm_model.vocab is not the tokenizer that {workload} reads, "
        f"which is {own}: its data goes with that one. Put yours there and "
        "prepare the data set with it, or leave the flag out."
    )


def test_another_test_set_than_the_one_beside_imagenet_is_refused(tmp_path):
    folder = touch_data("imagenet_vit", tmp_path)
    for own in (tmp_path, folder, folder / "imagenet_v2"):
        assert request("imagenet_vit", tmp_path, f"{TEST_SET}={own}").data_dir
    with pytest.raises(UserError) as error:
        request("imagenet_vit", tmp_path, f"{TEST_SET}=/x")
    assert str(error.value) == (
        f"{TEST_SET}=/x is not where imagenet_vit reads its test set, which is "
        f"{folder}/imagenet_v2. Put it there (a link will do), or leave the flag out."
    )


@pytest.mark.parametrize(
    ("host_gb", "flag", "cache_gb"),
    [
        (64, "", 18),
        (8, "", 4),
        (8, "--eval_cache_gb=6", 6),
        (8, "--eval_cache_gb=0", 0),
    ],
)
def test_decoded_splits_take_half_of_the_memory_at_most(
    host_gb, flag, cache_gb, monkeypatch, tmp_path
):
    monkeypatch.setattr(run_data, "host_bytes", lambda: host_gb * 10**9)
    options = request("mnist_mini", tmp_path, flag or "--eval_batch_size=8").data
    assert options.eval_cache_bytes == cache_gb * 10**9
