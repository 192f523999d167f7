"""--librispeech_tokenizer_vocab_path names the tokenizer that is used anyway."""

from pathlib import Path

import pytest
from absl import flags

from algoperf.cli import run_flags
from algoperf.cli.flag_parsing import parse
from algoperf.cli.run_command import Request, request_from
from algoperf.facts import UserError
from workloads.catalog import CATALOG

FLAG = "--librispeech_tokenizer_vocab_path"


def request(data_dir: Path, tokenizer: Path | str) -> Request:
    values = flags.FlagValues()
    run_flags.define(values)
    names = "--workload=digits,librispeech_conformer", "--submission_path=adamw"
    parse(values, "", [*names, f"--data_dir={data_dir}", f"{FLAG}={tokenizer}"])
    return request_from(values)


def test_another_tokenizer_than_the_datas_own_is_refused(tmp_path):
    folder = tmp_path / "librispeech"
    for pattern in CATALOG["librispeech_conformer"].data.alternatives[0]:
        file = folder / pattern.replace("*", "-00000-of-00001")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    own = folder / "spm_model.vocab"
    assert request(tmp_path, own).data_dir == tmp_path
    with pytest.raises(UserError) as error:
        request(tmp_path, "/x/spm_model.vocab")
    assert str(error.value) == (
        f"{FLAG}=/x/spm_model.vocab is not the tokenizer that librispeech_conformer "
        f"reads, which is {own}: its data goes with that one. Put yours there and "
        "prepare the data set with it, or leave the flag out."
    )
