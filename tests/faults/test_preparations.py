"""Every data set's preparation, killed again and again until it is done.

(What a kill may hit within one file: test_prepare_killed.py.)
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click_logs
import pyarrow as pa
import pyarrow.parquet
import pytest
import speech_files
import test_prepare_cifar
import tiny_gpt2
import tiny_knee
import tiny_molpcba
import tiny_wmt
from image_files import files_of

from algoperf.prepare import manifest as manifests
from algoperf.prepare.plan import Preparation
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify
from workloads.criteo.prepare import preparation as criteo
from workloads.fastmri.prepare import preparation as fastmri
from workloads.fineweb.prepare import preparation as fineweb
from workloads.wmt.prepare import preparation as wmt


def _cifar(raw: Path) -> Preparation:
    raw.mkdir(exist_ok=True)
    (raw / "cifar-10-binary.tar.gz").write_bytes(test_prepare_cifar.archive(20))
    return test_prepare_cifar.small_cifar(20)


def _criteo(raw: Path) -> Preparation:
    click_logs.write_chunks(raw, ".gz")
    return criteo(click_logs.SIZES)


def _fastmri(raw: Path) -> Preparation:
    if not raw.exists():
        tiny_knee.write(raw)
    return fastmri(tiny_knee.SIZES)


def _fineweb(raw: Path) -> Preparation:
    raw.mkdir(exist_ok=True)
    for i in range(3):
        table = pa.table({"text": [f"document {i} {j} of the cat" for j in range(9)]})
        pyarrow.parquet.write_table(table, raw / f"00{i}_00000.parquet")
    return fineweb(tiny_gpt2.write_tokenizer(raw), {})


def _librispeech(raw: Path) -> Preparation:
    speech_files.write_folders(raw)
    return speech_files.librispeech()


def _ogbg(raw: Path) -> Preparation:
    raw.mkdir(exist_ok=True)
    (raw / "pcba.zip").write_bytes(tiny_molpcba.archive())
    return tiny_molpcba.molpcba()


def _wmt(raw: Path) -> Preparation:
    tiny_wmt.write_text(raw, tiny_wmt.lines())
    return wmt(tiny_wmt.SIZES)


pytestmark = pytest.mark.faults
# Each writes the raw files, the same every time, and returns their preparation.
SETS: dict[str, Callable[[Path], Preparation]] = {
    "cifar": _cifar,
    "criteo": _criteo,
    "fastmri": _fastmri,
    "fineweb": _fineweb,
    "librispeech": _librispeech,
    "ogbg": _ogbg,
    "wmt": _wmt,
}

# A run that is killed at its third rename has added one file at most: what it begins
# with is the manifest. Later ones get somewhat further, so that it comes to an end.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {tests!r}
import tensorflow_datasets
from killing import die_at
from test_preparations import SETS
from algoperf.prepare.run import prepare

WAYS = (("replace", "before"), ("fsync", "before"), ("replace", "after"))
preparation = SETS[{name!r}](Path({raw!r}))

for number in range(200):
    child = os.fork()
    if not child:
        name, when = WAYS[number % 3]
        die_at(os, name, 3 + number // 3, when)
        prepare(preparation, Path({raw!r}), Path({data!r}), lambda line: None)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        print(number)
        sys.exit(os.WEXITSTATUS(status))
    assert os.WTERMSIG(status) == signal.SIGKILL
sys.exit("it does not come to an end")
"""


@pytest.mark.parametrize("name", SETS)
def test_what_is_killed_again_and_again_comes_to_the_same_end(tmp_path, name):
    raw = tmp_path / "raw"
    preparation = SETS[name](raw)
    prepare(preparation, raw, tmp_path / "whole", lambda line: None)
    wanted = files_of(tmp_path / "whole" / preparation.folder)
    code = KILLED.format(
        tests=[str(folder) for folder in Path(__file__).parents[:2]],
        name=name,
        raw=str(raw),
        data=str(tmp_path / "data"),
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) >= 3
    folder = tmp_path / "data" / preparation.folder
    assert files_of(folder) == wanted
    saved = manifests.load(folder)
    assert saved is not None
    assert saved.complete
    assert not verify(preparation, tmp_path / "data", lambda line: None)
