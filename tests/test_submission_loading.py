"""A submission is loaded from its file as a package of its own, afresh every time."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import PLAIN_SUBMISSION

from algoperf.submission import global_batch_size, load_submission, where_raised
from workloads.catalog import DIGITS, MNIST

# AlgoPerf's published signature.
ELEVEN_ARGUMENTS = {
    "workload": "workload",
    "current_param_container": "params",
    "current_params_types": "types",
    "model_state": "model state",
    "hyperparameters": None,
    "batch": "batch",
    "loss_type": "loss",
    "optimizer_state": "state",
    "eval_results": [],
    "global_step": 3,
    "rng": "rng",
}
# A catalog row as a variant would have it.
VARIANT = replace(MNIST, name="mnist_variant")


@pytest.fixture(autouse=True)
def _nothing_of_earlier_tests(tmp_path, monkeypatch):
    """A test that mixes helpers up does not make the others fail."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(folder: Path, more: str = "", name: str = "submission.py", **helpers: str):
    """A plain submission with `more` at its end, and helper modules beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(PLAIN_SUBMISSION + more)
    for module, text in helpers.items():
        (folder / f"{module}.py").write_text(text)
    return file


# Where a submission may lie, and what it may import.


@pytest.mark.parametrize("init_file", [False, True], ids=["no __init__", "__init__"])
@pytest.mark.parametrize(
    "statement",
    ["import helper", "from . import helper", "from helper import SIZE as _"],
)
def test_helpers_beside_the_file_are_imported(tmp_path, statement, init_file):
    more = f"{statement}\nfrom .helper import SIZE\ndef get_batch_size(n): return SIZE"
    file = write(tmp_path / "mine", more, helper="SIZE = 32")
    if init_file:
        (file.parent / "__init__.py").write_text("")
    assert load_submission(file).get_batch_size("digits") == 32


def test_a_package_beside_the_file_is_imported(tmp_path):
    file = write(tmp_path, "from parts.sizes import SIZE\nfrom .parts import sizes\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("from .sizes import SIZE")
    (tmp_path / "parts" / "sizes.py").write_text("SIZE = 8")
    before = load_submission(file).source_digest
    (tmp_path / "parts" / "sizes.py").write_text("SIZE = 16 # now")
    assert load_submission(file).source_digest != before


def test_a_helper_may_be_imported_only_when_a_function_runs(tmp_path):
    more = "def get_batch_size(n):\n    import late\n    return late.SIZE\n"
    submission = load_submission(write(tmp_path, more, late="SIZE = 12"))
    assert submission.get_batch_size("digits") == 12


def test_a_data_file_is_found_beside_the_file_from_any_working_directory(
    tmp_path, monkeypatch
):
    more = (
        "from pathlib import Path\n"
        "SIZE = int((Path(__file__).parent / 'size.txt').read_text())\n"
        "def get_batch_size(n): return SIZE\n"
    )
    write(tmp_path / "mine", more)
    (tmp_path / "mine" / "size.txt").write_text("24")
    (tmp_path / "elsewhere").mkdir()
    for folder, path in (("elsewhere", "../mine"), (".", "mine/submission.py")):
        monkeypatch.chdir(tmp_path / folder)
        submission = load_submission(Path(path))
        assert submission.get_batch_size("digits") == 24
        assert submission.path == submission.path.absolute()


@pytest.mark.parametrize("name", ["my-adam.py", "adam.v2.py", "2nd try.py"])
def test_the_file_may_have_any_name(tmp_path, name):
    file = write(tmp_path, "from . import helper", name, helper="")
    assert load_submission(file).path == file


def test_a_dataclass_in_a_submission_finds_its_module(tmp_path):
    file = write(tmp_path)
    state = (
        "from dataclasses import dataclass\n@dataclass\nclass State:\n    step: int\n"
    )
    file.write_text("from __future__ import annotations\n" + state + PLAIN_SUBMISSION)
    assert load_submission(file)


# Afresh, and apart from other submissions.


def test_every_load_starts_with_fresh_modules(tmp_path):
    more = (
        "import helper\n"
        "calls = []\n"
        "def get_batch_size(n):\n"
        "    calls.append(n)\n"
        "    helper.calls.append(n)\n"
        "    return len(calls) + 10 * len(helper.calls)\n"
    )
    file = write(tmp_path, more, helper="calls = []")
    first = load_submission(file)
    assert [first.get_batch_size("a"), first.get_batch_size("a")] == [11, 22]
    assert load_submission(file).get_batch_size("a") == 11
    assert first.get_batch_size("a") == 33


def test_a_changed_helper_is_picked_up(tmp_path):
    more = "import helper\ndef get_batch_size(n): return helper.SIZE"
    file = write(tmp_path, more, helper="SIZE = 4")
    assert load_submission(file).get_batch_size("digits") == 4
    (tmp_path / "helper.py").write_text("SIZE = 4 + 4")
    assert load_submission(file).get_batch_size("digits") == 8


def test_a_helper_changed_at_once_to_the_same_length_is_picked_up(
    tmp_path, monkeypatch
):
    # Python takes compiled files for current by whole seconds and length.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    more = "import helper\ndef get_batch_size(n): return helper.SIZE"
    file = write(tmp_path, more, helper="SIZE = 4")
    assert load_submission(file).get_batch_size("digits") == 4
    (tmp_path / "helper.py").write_text("SIZE = 8")
    assert load_submission(file).get_batch_size("digits") == 8


@pytest.mark.parametrize("statement", ["import helper", "from . import helper"])
def test_helpers_of_one_name_in_two_folders_do_not_mix(tmp_path, statement):
    more = f"{statement}\ndef get_batch_size(n): return helper.SIZE"
    one = write(tmp_path / "one", more, helper="SIZE = 1")
    two = write(tmp_path / "two", more, helper="SIZE = 22")
    first, second = load_submission(one), load_submission(two)
    assert first.get_batch_size("digits") == 1
    assert second.get_batch_size("digits") == 22
    assert first.source_digest != second.source_digest
    again = load_submission(one)
    assert again.get_batch_size("digits") == 1
    assert again.source_digest == first.source_digest
    assert second.get_batch_size("digits") == 22


def test_a_late_import_finds_the_fresh_helper_of_the_submission_loaded_last(tmp_path):
    more = "def get_batch_size(n):\n    import helper\n    return helper.SIZE"
    one = write(tmp_path / "one", more, helper="SIZE = 1")
    two = write(tmp_path / "two", more, helper="SIZE = 22")
    assert load_submission(one).get_batch_size("digits") == 1
    assert load_submission(two).get_batch_size("digits") == 22
    (tmp_path / "one" / "helper.py").write_text("SIZE = 333")
    assert load_submission(one).get_batch_size("digits") == 333


def test_the_digest_changes_with_the_file_and_its_helpers_alone(tmp_path):
    file = write(tmp_path, "import helper", helper="SIZE = 4", unrelated="A = 1")
    digests = [load_submission(file).source_digest]
    (tmp_path / "unrelated.py").write_text("A = 1 + 1")
    (tmp_path / "notes.txt").write_text("not source")
    assert load_submission(file).source_digest == digests[0]
    (tmp_path / "helper.py").write_text("SIZE = 4 + 4")
    digests.append(load_submission(file).source_digest)
    file.write_text(file.read_text() + "# a remark\n")
    digests.append(load_submission(file).source_digest)
    assert len(set(digests)) == 3


def test_the_digest_does_not_depend_on_where_the_folder_is(tmp_path):
    files = [write(tmp_path / name, "import helper", helper="") for name in "ab"]
    assert len({load_submission(file).source_digest for file in files}) == 1


# What is read from it.


def test_update_params_gets_train_state_only_if_it_names_it(tmp_path):
    names = ", ".join(ELEVEN_ARGUMENTS)
    more = f"def update_params({names}): return sorted(locals())"
    plain = load_submission(write(tmp_path / "plain", more))
    assert plain.update_params(**ELEVEN_ARGUMENTS, train_state={}) == sorted(
        ELEVEN_ARGUMENTS
    )
    more = f"def update_params({names}, train_state): return train_state"
    naming = load_submission(write(tmp_path / "naming", more))
    assert naming.update_params(**ELEVEN_ARGUMENTS, train_state="it") == "it"


def test_update_params_with_any_keywords_gets_train_state_too(tmp_path):
    more = "def update_params(**rest): return sorted(rest)"
    submission = load_submission(write(tmp_path, more))
    assert submission.update_params(**ELEVEN_ARGUMENTS, train_state={}) == sorted(
        [*ELEVEN_ARGUMENTS, "train_state"]
    )


def test_prepare_for_eval_and_data_selection_have_defaults(tmp_path):
    submission = load_submission(write(tmp_path))
    kept = submission.prepare_for_eval(**ELEVEN_ARGUMENTS)
    assert kept == ("state", "params", "model state")
    queue = iter(["first", "second"])
    taken = submission.data_selection(
        "workload", queue, "state", "params", "model state", None, 0, "rng"
    )
    assert taken == "first"
    assert submission.get_eval_batch_size is None


def test_a_batch_size_is_asked_for_by_the_workload_name(tmp_path):
    more = "def get_batch_size(name): return {'digits': 96}[name]"
    assert global_batch_size(load_submission(write(tmp_path, more)), DIGITS, 2) == 96


@pytest.mark.parametrize("error", ["ValueError", "KeyError"])
def test_a_full_variant_falls_back_on_its_base_and_then_on_its_default(tmp_path, error):
    more = (
        "def get_batch_size(name):\n"
        "    if name == 'mnist': return 256\n"
        f"    raise {error}(name)\n"
    )
    submission = load_submission(write(tmp_path, more))
    assert global_batch_size(submission, VARIANT, 1) == 256
    assert global_batch_size(submission, DIGITS, 1) == DIGITS.batch_size


def test_a_mini_variant_does_not_ask_with_its_base(tmp_path):
    more = "def get_batch_size(name): return {'digits': 8}[name]"
    variant = replace(DIGITS, name="digits_variant")
    size = global_batch_size(load_submission(write(tmp_path, more)), variant, 1)
    assert size == variant.batch_size


@pytest.mark.parametrize("size", ["0", "-8", "64.0", "None", "'64'", "True"])
def test_a_batch_size_that_is_no_positive_whole_number_is_refused(tmp_path, size):
    more = f"def get_batch_size(name): return {size}"
    submission = load_submission(write(tmp_path, more))
    with pytest.raises(ValueError, match=f"gave {size}.*positive whole number"):
        global_batch_size(submission, DIGITS, 1)


def test_a_numpy_batch_size_is_taken(tmp_path):
    more = "import numpy as np\ndef get_batch_size(name): return np.int64(32)"
    size = global_batch_size(load_submission(write(tmp_path, more)), DIGITS, 2)
    assert type(size) is int
    assert size == 32


def test_where_raised_names_the_innermost_own_line(tmp_path):
    more = (
        "import helper\nimport json\n"
        "def get_batch_size(name): return helper.parse(json.loads)\n"
    )
    helper = "def parse(loads):\n    return loads('no json')\n"
    submission = load_submission(write(tmp_path, more, helper=helper))
    with pytest.raises(ValueError, match="Expecting value") as caught:
        submission.get_batch_size("digits")
    assert where_raised(caught.value, tmp_path) == "helper.py:2"


def test_where_raised_is_empty_for_an_error_of_somebody_else(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert where_raised(caught.value, tmp_path) == ""
