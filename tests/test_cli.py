"""The command line without training: help, list, and what flags ask for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from algoperf.cli import run_flags
from algoperf.cli.flag_parsing import parse
from algoperf.cli.main import COMMANDS, main
from algoperf.cli.run_command import Request, request_from
from workloads.catalog import CATALOG

# Flags of AlgoPerf's runner (WORKLOADS facts, 7.5).
ALGOPERF_FLAGS = [
    "submission_path",
    "workload",
    "tuning_ruleset",
    "tuning_search_space",
    "num_tuning_trials",
    "data_dir",
    "imagenet_v2_data_dir",
    "librispeech_tokenizer_vocab_path",
    "framework",
    "torch_compile",
    "experiment_dir",
    "experiment_name",
    "save_checkpoints",
    "save_intermediate_checkpoints",
    "resume_last_run",
    "append_timestamp",
    "use_wandb",
    "profile",
    "max_global_steps",
    "overwrite",
    "hparam_start_index",
    "hparam_end_index",
    "rng_seed",
    "set_pytorch_max_split_size",
    "pytorch_eval_num_workers",
    "capture_jax_trace",
    "skip_evals",
]
OUR_FLAGS = ["num_studies", "study_index", "eval_every_steps", "max_runtime_factor"]
ADAMW = ("--workload=digits", "--submission_path=adamw")
NADAMW = ("--workload=digits", "--submission_path=nadamw")
IDX_FILES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte.gz",
]
ARRAY_RECORD = [
    "3.0.1/dataset_info.json",
    "3.0.1/mnist-train.array_record-00000-of-00001",
    "3.0.1/mnist-test.array_record-00000-of-00001",
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def shown(capsys):
    """Runs a command that has to work; returns what it prints."""

    def run(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        output, errors = capsys.readouterr()
        assert errors == ""
        return output

    return run


def request(*arguments: str) -> Request:
    """What a line of `algoperf run` asks for."""
    values = flags.FlagValues()
    run_flags.define(values)
    parse(values, "", list(arguments))
    run_flags.check(values)
    return request_from(values)


# Help.


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_names_every_command(shown, word):
    text = shown(word)
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", text, re.MULTILINE)


def test_without_a_command_the_help_is_shown_as_a_mistake(capsys):
    assert main([]) == 2
    assert "usage: algoperf COMMAND" in capsys.readouterr().out


def test_the_help_of_run_describes_every_flag(shown):
    text = shown("run", "--help")
    for flag in [*ALGOPERF_FLAGS, *OUR_FLAGS]:
        assert re.search(rf"^  --{flag}\n      \S", text, re.MULTILINE), flag
    assert shown("run", *ADAMW, "--help") == text


def test_the_help_of_list_and_score_describes_their_flags(shown):
    assert "--workloads" in shown("list", "--help")
    assert "--submission_directory" in shown("score", "--help")


def test_help_and_list_do_not_import_jax():
    check = (
        "import sys; from algoperf.cli.main import main;"
        "main(['--help']); main(['list']); main(['run', '--help']);"
        "main(['run', '--workload=x', '--submission_path=adamw']);"
        "sys.exit('jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, timeout=60
    )
    assert done.returncode == 0


# List.


def test_list_describes_every_workload_and_submission(shown):
    text = shown("list")
    workloads, submissions = text.split("\n\n")
    header, *rows = workloads.splitlines()
    assert re.split("  +", header) == [
        "workload", "scale", "metric", "target", "budget", "step hint", "data", "there"
    ]  # fmt: skip
    assert [row.split()[0] for row in rows] == list(CATALOG)
    assert re.split("  +", rows[0]) == [
        "digits", "mini", "accuracy", ">= 0.975", "60 s", "1,500",
        "1,797 real 8x8 images, bundled", "bundled",
    ]  # fmt: skip
    listed = {row.split()[0]: row.split()[1] for row in submissions.splitlines()}
    assert (
        listed.items()
        >= {
            "adamw": "external",
            "momentum": "external",
            "nadamw": "self",
            "template": "self",
        }.items()
    )


def test_list_shows_only_what_is_asked_for(shown):
    both = shown("list")
    assert shown("list", "--workloads") + "\n" + shown("list", "--submissions") == both
    assert shown("list", "--workloads", "--submissions") == both


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ([], "missing"),
        (IDX_FILES[:3], "partial"),
        (IDX_FILES, "prepared"),
        (ARRAY_RECORD[:1], "partial"),
        (ARRAY_RECORD, "prepared"),
        ([*IDX_FILES[:1], *ARRAY_RECORD], "prepared"),
        (["unrelated.txt"], "missing"),
    ],
)
def test_list_says_whether_data_is_there(shown, files, there):
    Path("data").mkdir()
    for name in files:
        file = Path("data/mnist") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    rows = shown("list", "--workloads", "--data_dir=data").splitlines()
    found = {row.split()[0]: row.split()[-1] for row in rows}
    assert found["mnist"] == there
    assert found["digits"] == found["mnist_mini"] == "bundled"


# What flags of `run` ask for.


def test_workloads_are_a_list_without_repetition():
    wanted = request("--workload=mnist_mini, digits,mnist_mini,", *ADAMW[1:])
    assert [facts.name for facts in wanted.workloads] == ["mnist_mini", "digits"]


def test_a_submission_is_a_name_a_folder_or_a_file():
    Path("mine").mkdir()
    for name in ("submission.py", "fast_adam.py"):
        Path("mine", name).write_text("")
    named = {
        "adamw": "adamw",
        "mine": "mine",
        "mine/": "mine",
        "mine/submission.py": "mine",
        "mine/fast_adam.py": "fast_adam",
        str(Path("mine").absolute()): "mine",
    }
    for path, name in named.items():
        wanted = request("--workload=digits", f"--submission_path={path}")
        assert wanted.experiment == Path("experiments").absolute() / name


def test_the_search_space_beside_the_submission_is_the_default():
    wanted = request(*ADAMW)
    assert wanted.ruleset == "external"
    assert wanted.search_space == wanted.submission / "tuning_search_space.json"
    Path("other.json").write_text("[]")
    other = request(*NADAMW, "--tuning_search_space=other.json")
    assert (other.ruleset, other.search_space) == ("external", Path("other.json"))


def test_without_a_search_space_the_ruleset_is_self():
    wanted = request(*NADAMW)
    assert (wanted.ruleset, wanted.search_space, wanted.trials) == ("self", None, 1)
    assert request(*ADAMW, "--tuning_ruleset=self").search_space is None


def test_self_tuning_has_half_as_much_budget_again():
    assert request(*ADAMW).runtime_factor == 1.0
    assert request(*NADAMW).runtime_factor == 1.5
    assert request(*NADAMW, "--max_runtime_factor=1").runtime_factor == 1.0


@pytest.mark.parametrize(
    ("given", "folder", "studies"),
    [
        ([], "experiments/adamw", (0,)),
        (["--experiment_name=x"], "experiments/x", (0,)),
        (["--experiment_dir=/a/b", "--experiment_name=x"], "/a/b/x", (0,)),
        (["--experiment_name=x/study_2"], "experiments/x", (2,)),
        (["--experiment_name=x/study_2/"], "experiments/x", (2,)),
        (["--experiment_name=x/study_2", "--study_index=2"], "experiments/x", (2,)),
        (["--experiment_name=x/y"], "experiments/x/y", (0,)),
        (["--study_index=3"], "experiments/adamw", (3,)),
        (["--num_studies=3"], "experiments/adamw", (0, 1, 2)),
    ],
)
def test_where_studies_are_written(given, folder, studies):
    wanted = request(*ADAMW, *given)
    assert wanted.experiment == Path(folder).absolute()
    assert wanted.studies == studies


def test_a_timestamp_goes_to_the_name_and_not_to_the_study():
    wanted = request(*ADAMW, "--experiment_name=x/study_1", "--append_timestamp")
    assert re.fullmatch(r"x_\d{4}(-\d\d){5}", wanted.experiment.name)
    assert wanted.studies == (1,)


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    wanted = request(*ADAMW, "--experiment_dir=~/runs", "--data_dir=~/data")
    assert wanted.experiment == Path("/home/me/runs/adamw")
    assert wanted.data_dir == Path("/home/me/data")


def test_every_flag_of_algoperf_is_known_or_refused_by_name():
    values = flags.FlagValues()
    run_flags.define(values)
    assert set(ALGOPERF_FLAGS) <= set(values)


def test_flags_without_an_effect_here_are_accepted():
    plain = request(*ADAMW)
    accepted = request(
        *ADAMW,
        "--framework=jax",
        "--resume_last_run",
        "--imagenet_v2_data_dir=/x",
        "--librispeech_tokenizer_vocab_path=/x",
        "--notorch_compile",
        "--nouse_wandb",
    )
    assert accepted.experiment == plain.experiment
    assert request(*ADAMW, "--capture_jax_trace").profile
    assert not plain.profile


def test_seed_zero_is_a_seed():
    assert request(*ADAMW, "--rng_seed=0").seed == 0
    assert request(*ADAMW, "--rng_seed=4294967295").seed == 2**32 - 1
    assert request(*ADAMW).seed is None
