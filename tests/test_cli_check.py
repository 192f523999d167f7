"""`algoperf new` and `algoperf check`, as a submitter uses them."""

import subprocess
import sys
from pathlib import Path

import pytest
from fakes import PLAIN_SUBMISSION

from algoperf.cli.check_command import check
from algoperf.cli.main import main
from algoperf.submission_rules import Finding, findings

UPDATE = "def update_params(*, current_param_container, model_state, optimizer_state"


def written(folder: Path, source: str) -> Path:
    folder.mkdir()
    (folder / "submission.py").write_text(source)
    return folder


def results(folder: Path, source: str) -> str:
    """What `check` prints of its steps on digits, without the full workloads."""
    return "\n".join(map(str, check(written(folder, source), trace_full=False)))


def with_line(line: str) -> str:
    """A plain submission whose update_params begins with a line."""
    head, signature, rest = PLAIN_SUBMISSION.partition(UPDATE)
    before, colon, after = rest.partition(":\n")
    return f"{head}{signature}{before}{colon}    {line}\n{after}"


def test_a_new_submission_is_found_good_and_its_own_test_passes(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my_lion"]) == 0
    assert "next: algoperf check my_lion" in capsys.readouterr().out
    assert main(["check", "my_lion"]) == 0
    out = capsys.readouterr().out
    assert "BAD" not in out
    assert "8.00 bytes of state per parameter" in out
    assert "one abstract step on mnist" in out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_lion"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2fast", "'2fast' is no name for a submission"),
        ("class", "'class' is no name for a submission"),
        ("adamw", "'adamw' is a submission that comes with the package"),
        ("there", "there is there already; give another name"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, monkeypatch, capsys, name, message):
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    assert main(["new", name]) == 2
    assert message in capsys.readouterr().err
    assert main(["new"]) == 2
    assert main(["check"]) == 2
    assert "takes the path or the name" in capsys.readouterr().err


def test_a_submission_that_raises_is_bad_and_the_line_is_named(tmp_path, capsys):
    source = with_line("raise RuntimeError('no luck')")
    assert main(["check", str(written(tmp_path / "mine", source))]) == 1
    out = capsys.readouterr().out
    line = 1 + source.splitlines().index("    raise RuntimeError('no luck')")
    assert "BAD " in out
    assert f"RuntimeError: no luck (at submission.py:{line})" in out


def test_compiling_again_and_again_is_noticed(tmp_path):
    line = "import jax; jax.jit(lambda p: p)(current_param_container)"
    assert "BAD compiles again after the second step" in results(
        tmp_path / "mine", with_line(line)
    )


def test_memory_that_is_shared_is_noticed(tmp_path):
    source = PLAIN_SUBMISSION.replace("return None", "return params")
    assert "share memory, and cannot both be donated" in results(
        tmp_path / "mine", source
    )


def test_params_that_are_not_finite_are_noticed(tmp_path):
    line = (
        "import jax; current_param_container = jax.tree.map("
        "lambda p: p * float('nan'), current_param_container)"
    )
    assert "BAD NaN or infinity in the params" in results(
        tmp_path / "mine", with_line(line)
    )


def found(tmp_path: Path, source: str) -> list[Finding]:
    file = tmp_path / "submission.py"
    file.write_text(source)
    return list(findings([file], ["wmt", "ogbg"]))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (
            "workload.eval_model(64, params, state, rng)",
            "reads validation or test data",
        ),
        ("workload._build_input_queue(rng, 'test')", "reads validation or test data"),
        ("workload.data.batches('test', 8, 0)", "reads validation or test data"),
        ("workload.facts", "looks into the workload"),
        ("workload.__class__.__name__", "looks into the workload"),
        ("getattr(workload, 'name')", "looks into the workload"),
        ("if name == 'wmt': pass", "branches on workload names"),
        ("if name in ('wmt', 'ogbg'): pass", "branches on workload names"),
        ("import os; os.environ['X']", "environment variables"),
        ("from os import getenv", "environment variables"),
        ("import os; os.system('ls')", "other processes"),
        ("import subprocess", "other processes"),
        ("import socket", "network"),
        ("from urllib.request import urlopen", "network"),
        ("import requests as r", "network"),
        ("open('cache')", "files"),
        ("Path('cache').write_text('1')", "files"),
        ("np.load('weights.npy')", "files"),
        ("loss.item()", "waits for the device"),
        ("jax.block_until_ready(loss)", "waits for the device"),
    ],
)
def test_what_the_rules_forbid_is_found(tmp_path, line, rule):
    (finding,) = {
        f.rule: f for f in found(tmp_path, f"def f():\n    {line}\n")
    }.values()
    assert (finding.rule, finding.line, finding.file) == (rule, 2, "submission.py")


@pytest.mark.parametrize(
    "source",
    [
        "def get_batch_size(name):\n    return 8 if name == 'wmt' else 16\n",
        "SIZES = {'wmt': 8}\n",
        "def f():\n    return workload.model_fn, workload.step_hint\n",
        "def f():\n    return open(Path(__file__).parent / 'data.json')\n",
        "def f(model):\n    return model.load(), 'wmt'\n",
        "def f(x):\n    return x.data, x.eval_model\n",
    ],
)
def test_what_is_allowed_is_not_found(tmp_path, source):
    assert found(tmp_path, source) == []


def test_bundled_submissions_break_no_rule():
    root = Path(__file__).parents[1] / "submissions"
    files = sorted(root.rglob("submission.py"))
    assert len(files) > 10
    assert findings(files, ["wmt", "mnist", "digits"]) == ()
